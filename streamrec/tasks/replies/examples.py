"""Replies' examples: what one reply was written from, with which chance, and what came of it.

An example is enough to learn from without anything else: its prompt and its tokens, what the
grammar let it write, and the probabilities of what was chosen, as of the generation that chose.

Legend: C numbers of a context.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamrec.core.examples import Example, FloatArray, TrainingBatch, check_feature_set
from streamrec.core.replies.context import CONTEXT
from streamrec.core.replies.plan import PLANS
from streamrec.core.tasks import REPLIES
from streamrec.errors import InvalidField
from streamrec.ports import ExampleFormat, example_format

FEATURE_SET = "replies-1"
"""Another one when an example says something else."""

TEMPLATE = ""
"""Generation of a reply that a template wrote: it has no tokens, and teaches the bandit alone."""

ROUNDING = 1e-3
"""Of a sum of log-probabilities that are all 0."""


@dataclass(frozen=True, slots=True, eq=False)
class ReplyExample(Example):
    """One reply that somebody was given.

    ``slots``, ``max_tokens``, ``least``, ``most``: the grammar that it was written under, as
    ``ports.generating.Grammar`` has them, its other characters as this version forbids them.
    ``log_probability``: of ``token_ids``, in nats, under that grammar, at that ``temperature``, by
    ``generation``.
    ``plan``: its place in ``PLANS``; ``plan_propensity``: with which probability it was chosen.
    ``context_C``: what was known then (``core.replies.context``). ``reward``: 1 accepted, 0 not,
    or between; ``weight``: how much that says.
    """

    reply_id: str
    generation: str
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    slots: tuple[str, ...]
    max_tokens: int
    least: int
    most: int
    temperature: float
    log_probability: float
    plan: int
    plan_propensity: float
    context_C: FloatArray
    reward: float
    weight: float


def check(batch: TrainingBatch) -> None:
    """Raises InvalidField for examples that this version cannot learn from."""
    check_feature_set(batch, FEATURE_SET)
    for example in batch.examples:
        if isinstance(example, ReplyExample) and (why := wrong(example)):
            raise InvalidField(f"the example at offset {example.offset} {why}")


def wrong(example: ReplyExample) -> str:
    """What cannot be in it; empty where nothing is."""
    context_C = example.context_C
    if context_C.shape != (len(CONTEXT),) or not np.isfinite(context_C).all():
        return f"has not {len(CONTEXT)} finite numbers of a context"
    if not 0 <= example.plan < len(PLANS) or not 0.0 < example.plan_propensity <= 1.0:
        return "has no plan, or one that could not have been chosen"
    if not 0.0 <= example.reward <= 1.0 or not 0.0 <= example.weight <= 1e3:
        return "has a reward or a weight that cannot be"
    return _wrong_words(example)


def _wrong_words(example: ReplyExample) -> str:
    if example.generation == TEMPLATE:
        return "is a template's and has tokens" if example.token_ids else ""
    ids = (*example.prompt_ids, *example.token_ids)
    if not example.prompt_ids or not example.token_ids or min(ids) < 0:
        return "has no prompt, or no reply, of token ids"
    written = example.log_probability
    if not math.isfinite(written) or written > ROUNDING or not 0.0 < example.temperature < 10.0:
        return "has a log-probability that cannot be, or was not drawn"
    if len(example.token_ids) > example.max_tokens or not 0 <= example.least <= example.most:
        return "was not written under its grammar"
    return ""


def _say(example: ReplyExample) -> Mapping[str, Any]:
    return {
        "reply_id": example.reply_id,
        "generation": example.generation,
        "prompt_ids": list(example.prompt_ids),
        "token_ids": list(example.token_ids),
        "slots": list(example.slots),
        "max_tokens": example.max_tokens,
        "least": example.least,
        "most": example.most,
        "temperature": example.temperature,
        "log_probability": example.log_probability,
        "plan": example.plan,
        "plan_propensity": example.plan_propensity,
        "context": example.context_C.tolist(),
        "reward": example.reward,
        "weight": example.weight,
    }


def _make(place: Mapping[str, Any], says: Mapping[str, Any]) -> ReplyExample:
    given: dict[str, Any] = {**place, **says}
    for name in ("prompt_ids", "token_ids", "slots"):
        given[name] = tuple(given[name])
    given["context_C"] = np.asarray(given.pop("context"), np.float32)
    return ReplyExample(**given)


FIELDS: Mapping[str, Any] = {
    "reply_id": "string",
    "generation": "string",
    "prompt_ids": {"type": "array", "items": "int"},
    "token_ids": {"type": "array", "items": "int"},
    "slots": {"type": "array", "items": "string"},
    "max_tokens": "int",
    "least": "int",
    "most": "int",
    "temperature": "double",
    "log_probability": "double",
    "plan": "int",
    "plan_propensity": "double",
    "context": {"type": "array", "items": "double"},
    "reward": "double",
    "weight": "double",
}

FORMAT: ExampleFormat = example_format(REPLIES, FEATURE_SET, FIELDS, say=_say, make=_make)
