"""Examples of replies: what may be learned from, and how it travels."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from streamrec.core.examples import TrainingBatch
from streamrec.core.replies.context import CONTEXT
from streamrec.errors import InvalidField
from streamrec.tasks.replies.examples import FEATURE_SET, FORMAT, ReplyExample, check

GOOD = ReplyExample(
    partition=1,
    offset=7,
    index=0,
    user_id="ana",
    produced_at_ms=5,
    reply_id="r1",
    generation="g000001-aaaaaaaa",
    prompt_ids=(1, 2, 3),
    token_ids=(4, 5),
    slots=("1", "2"),
    max_tokens=30,
    least=1,
    most=3,
    temperature=0.7,
    log_probability=-3.5,
    plan=3,
    plan_propensity=0.25,
    context_C=np.full(len(CONTEXT), 0.5, np.float32),
    reward=1.0,
    weight=1.0,
)


def batch_of(example: ReplyExample, feature_set: str = FEATURE_SET) -> TrainingBatch:
    return TrainingBatch(1, 0, 9, feature_set, [example])


def test_an_example_comes_back_as_it_went() -> None:
    back = FORMAT.from_fields(FORMAT.to_fields(GOOD))
    assert isinstance(back, ReplyExample)
    went, came = asdict(GOOD), asdict(back)
    np.testing.assert_array_equal(went.pop("context_C"), came.pop("context_C"))
    assert went == came


def test_a_template_has_no_tokens() -> None:
    check(batch_of(GOOD))
    plain = replace(GOOD, generation="", token_ids=(), prompt_ids=(), log_probability=0.0)
    check(batch_of(plain))
    with pytest.raises(InvalidField, match="template"):
        check(batch_of(replace(GOOD, generation="")))


@pytest.mark.parametrize(
    "wrong",
    [
        {"plan": 99},
        {"plan_propensity": 0.0},
        {"reward": 2.0},
        {"weight": float("nan")},
        {"token_ids": ()},
        {"prompt_ids": (-1,)},
        {"log_probability": 1.0},
        {"log_probability": float("nan")},
        {"temperature": 0.0},
        {"max_tokens": 1},
        {"least": 4},
        {"context_C": np.zeros(1, np.float32)},
        {"context_C": np.full(len(CONTEXT), np.inf, np.float32)},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidField, match="offset 7"):
        check(batch_of(replace(GOOD, **wrong)))


def test_examples_of_another_set_are_refused() -> None:
    with pytest.raises(InvalidField, match="replies-0"):
        check(batch_of(GOOD, "replies-0"))
