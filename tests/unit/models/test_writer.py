"""The writer in this process: rows pinned to adapters, places, what is kept of prompts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.errors import GenerationRefused, SettingsError
from streamrec.models.causal import Reply
from streamrec.models.pinned_lora import PinnedAdapters
from streamrec.models.writer import CausalWriter
from streamrec.ports import Grammar, Wanted, Written
from tests.fakes.causal_models import stirred, tiny_writer

MODEL = tiny_writer()
STATES = {f"g{n}": stirred(MODEL, n) for n in range(6)}


def writer(*generations: str) -> CausalWriter:
    """Whose generations are found by the name of their directory."""
    made = CausalWriter(MODEL, lambda directory: STATES[directory.name])
    for name in generations:
        load(made, name)
    return made


def load(writer: CausalWriter, name: str) -> None:
    writer.load(name, Path(name))


def wanted(generation: str, seed: int, rest: str = "A story", temperature: float = 0.8) -> Wanted:
    return Wanted("Answer.", rest, generation, Grammar(("1", "2", "A"), 16), seed, temperature)


def alike(one: Written, other: Written) -> None:
    """But for the last bits of its probability."""
    assert (one.token_ids, one.text, one.prompt_ids) == (
        other.token_ids,
        other.text,
        other.prompt_ids,
    )
    assert one.log_probability == pytest.approx(other.log_probability, abs=1e-3)


SHARED = writer("g0", "g1", "g2")
ROWS = st.builds(
    wanted,
    st.sampled_from(["g0", "g1", "g2"]),
    st.integers(0, 2**63 - 1),
    st.text("abc [2]\n", max_size=40),
    st.sampled_from([0.0, 0.5, 1.0]),
)


@settings(max_examples=8, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=6))
def test_a_pinned_row_equals_its_own_run(rows) -> None:
    together = SHARED.generate(rows)
    for one, row in zip(together, rows, strict=True):
        alike(one, SHARED.generate([row])[0])


def test_what_was_drawn_is_as_likely_as_the_learner_finds_it() -> None:
    for one in SHARED.generate([wanted("g1", seed) for seed in range(3)]):
        reply = Reply(one.prompt_ids, one.token_ids, Grammar(("1", "2", "A"), 16), 0.8)
        with torch.no_grad():
            found = MODEL.with_adapter(STATES["g1"]).score([reply]).log_probabilities_BT.sum()
        assert float(found) == pytest.approx(one.log_probability, abs=1e-3)


def test_the_likeliest_reply_is_certain_and_needs_no_seed() -> None:
    first, second = SHARED.generate([wanted("g0", seed, temperature=0.0) for seed in (1, 2)])
    assert first.token_ids == second.token_ids
    assert first.log_probability == 0.0


def test_a_place_that_was_freed_keeps_nothing_of_who_was_there() -> None:
    made = writer("g0", "g1", "g2")
    made.generate([wanted("g1", 4)])
    with pytest.raises(GenerationRefused, match="retire one first"):
        load(made, "g3")
    made.retire("g1")
    load(made, "g3")
    assert made.status().loaded == ("g0", "g2", "g3")
    alike(made.generate([wanted("g3", 4)])[0], writer("g3").generate([wanted("g3", 4)])[0])


def test_a_generation_that_writes_keeps_its_place_until_it_is_done() -> None:
    made = writer("g0", "g1", "g2")
    tried = []

    def crowd(_: int, __: str) -> None:
        if not tried:
            made.retire("g0")
            with pytest.raises(GenerationRefused, match="retire one first"):
                load(made, "g3")
            tried.append(1)

    alike(made.generate([wanted("g0", 1)], crowd)[0], writer("g0").generate([wanted("g0", 1)])[0])
    assert tried
    load(made, "g3")
    assert made.status().loaded == ("g1", "g2", "g3")


def test_one_that_comes_back_while_it_still_writes_is_there_again() -> None:
    made = writer("g0")

    def and_back(_: int, __: str) -> None:
        made.retire("g0")
        load(made, "g0")

    made.generate([wanted("g0", 1)], and_back)
    assert made.status().loaded == ("g0",)


def test_only_plain_lora_writes() -> None:
    with pytest.raises(SettingsError, match="not dora"):
        PinnedAdapters(replace(MODEL.adapted, method="dora"), 1)
