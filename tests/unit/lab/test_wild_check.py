"""What was meant, beside what is found: each way of being wrong has a number."""

from __future__ import annotations

import pytest

from streamrec.lab.measures.wild_check import Meant, ProducerOutcome, UserCounts, WildTally, check

SHOWN = frozenset({"a", "b"})
MEANT = {"ann": Meant(views=2, accepts=1, lists={SHOWN: frozenset({"a"})})}
RIGHT = {"a": True, "b": False}
SAMPLED = {"a": True, "z": False}


def tally(
    views: int, accepts: int, *examples: dict[str, bool], refused: int = 0, certain: bool = True
) -> WildTally:
    counts = {"ann": UserCounts(views, accepts)}
    found = ProducerOutcome(counts, {"ann": examples}, ["clock"] * refused)
    return check(MEANT, found, certain=certain)


def numbers(found: WildTally) -> tuple[int, int, int, int]:
    return found.lost, found.doubled, found.wrong_labels, found.silent


def test_what_was_meant_is_found() -> None:
    found = tally(2, 1, RIGHT)
    assert numbers(found) == (0, 0, 0, 0)
    assert found.named == []


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (tally(1, 1, RIGHT), (1, 0, 0, 1)),
        (tally(1, 1, RIGHT, refused=1), (1, 0, 0, 0)),  # told, but its meaning was plain
        (tally(2, 1), (1, 0, 0, 0)),
        (tally(4, 2, RIGHT), (0, 3, 0, 0)),
        (tally(2, 1, RIGHT, RIGHT), (0, 1, 0, 0)),
        (tally(2, 1, {"a": False, "b": False}), (0, 0, 1, 0)),
        (tally(2, 1, SAMPLED, RIGHT), (0, 0, 1, 0)),  # learned twice, once as a next click
    ],
)
def test_each_fault_has_its_number(found: WildTally, expected: tuple[int, ...]) -> None:
    assert numbers(found) == expected
    assert found.named


def test_what_an_aborted_transaction_said_must_not_count() -> None:
    found = check({}, ProducerOutcome({"bob": UserCounts(3, 0)}, {}, ()), certain=True)
    assert numbers(found) == (0, 3, 0, 0)


def test_an_uncertain_event_counts_or_is_refused_once() -> None:
    assert numbers(tally(1, 1, refused=1, certain=False)) == (0, 0, 0, 0)
    assert numbers(tally(1, 1, certain=False)) == (1, 0, 0, 1)
    assert numbers(tally(2, 1, refused=1, certain=False)) == (0, 1, 0, 0)
    assert numbers(tally(2, 1, {"a": False, "b": True}, certain=False)) == (0, 0, 1, 0)
