"""A reason is given only when its part is the largest and the inputs bear it out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.tasks.ranking.lists.reasons import GROUPS, positions, reason
from streamrec.tasks.ranking.model.head import INPUTS
from streamrec.tasks.ranking.statistics.declaration import LONGEST_TITLE, ReasonInputs


def seen(
    largest: str, raw=None, *, standard=None, nearest="Near", last="Last", size=1.0
) -> ReasonInputs:
    names = [*{**(raw or {}), **(standard or {})}]
    return ReasonInputs(
        parts_G=np.array([size if group == largest else -1.0 for group in GROUPS], np.float32),
        raw_D=np.array([(raw or {}).get(name, 0.0) for name in names], np.float32),
        standard_D=np.array([(standard or {}).get(name, 0.0) for name in names], np.float32),
        at={name: at for at, name in enumerate(names)},
        nearest=nearest,
        last=last,
    )


def test_every_input_of_the_head_is_in_one_group_and_every_group_has_inputs():
    found = positions()
    assert len(found) == len(GROUPS)
    assert sorted(at for own in found for at in own) == list(range(len(INPUTS)))
    assert all(found)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (seen("text", {"sim_max": 0.4}), "because you chose Near"),
        (seen("text", {"sim_max": 0.0}), ""),
        (seen("text", {"sim_max": 0.4}, nearest=None), ""),
        (seen("co-occurrences", {"after_last": 0.1}), "often follows Last"),
        (seen("co-occurrences", {"after_recent": 0.1}), "often follows what you chose"),
        (seen("co-occurrences", {"with_recent": 0.1}), "often chosen together with what you chose"),
        (seen("co-occurrences", {}), ""),
        (seen("taste", {"affinity_lift": 0.2}), "of a kind you choose more than others do"),
        (
            seen("taste", {"affinity_lift": -0.2, "affinity": 0.1}),
            "of a kind you have chosen",
        ),
        (seen("taste", {}), ""),
        (seen("popularity", standard={"accepts_24h": 0.1}), "popular now"),
        (seen("popularity", standard={"accepts_24h": -0.1, "views_24h": 2.0}), ""),
        (seen("age", standard={"age": -0.5}), "new here"),
        (seen("age", {"unseen": 1.0}), "new here"),
        (seen("age", standard={"age": 0.5}), ""),
        (seen("user", {"user_rate": 3.0}), ""),
        (seen("text", {"sim_max": 0.4}, size=-0.1), ""),  # nothing raises the score
    ],
)
def test_words(case, words):
    assert reason(case) == words


def test_a_long_title_is_cut():
    said = reason(seen("text", {"sim_max": 0.4}, nearest="x" * 200))
    assert len(said) == len("because you chose ") + LONGEST_TITLE


@given(
    st.lists(st.floats(-3, 3, width=32), min_size=6, max_size=6),
    st.dictionaries(st.sampled_from(INPUTS), st.floats(-3, 3, width=32)),
)
def test_no_reason_speaks_of_another_part_than_the_largest(parts, inputs):
    values = np.array(list(inputs.values()), np.float32)
    at = {name: place for place, name in enumerate(inputs)}
    said = reason(ReasonInputs(np.array(parts, np.float32), values, values, at, "Near", "Last"))
    speaks_of = {
        "because you chose Near": "text",
        "often follows Last": "co-occurrences",
        "often follows what you chose": "co-occurrences",
        "often chosen together with what you chose": "co-occurrences",
        "of a kind you choose more than others do": "taste",
        "of a kind you have chosen": "taste",
        "popular now": "popularity",
        "new here": "age",
    }
    if said:
        group = list(GROUPS).index(speaks_of[said])
        assert parts[group] == max(parts) > 0
