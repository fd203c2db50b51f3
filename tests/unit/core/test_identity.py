"""Places that say whose they are: two that contradict each other are named."""

from __future__ import annotations

import pytest

from streamrec.core.identity import Identity, agreed
from streamrec.errors import UserError

OURS = Identity("a1", "cluster-a", "prod.", "00ff")


def test_what_a_place_does_not_know_contradicts_nobody() -> None:
    places = {"Kafka": Identity("", "cluster-a", "prod."), "Redis": Identity("a1"), "log": OURS}
    assert agreed(places) == OURS
    assert agreed({}) == Identity()


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (Identity("b2", "cluster-a", "prod."), "of installation a1, Redis of installation b2"),
        (Identity("a1", "cluster-b", "prod."), "the Kafka cluster cluster-b"),
        (Identity("a1", "cluster-a", "staging."), r"the topics staging\.\*"),
        (Identity(pseudonyms="1234"), "the pseudonym key with fingerprint 1234"),
    ],
)
def test_two_that_disagree_are_named_and_nothing_else_is_asked_for(theirs, said: str) -> None:
    with pytest.raises(UserError, match=said) as told:
        agreed({"the control log": OURS, "the registry": Identity(), "Redis": theirs})
    assert "the control log and Redis" in str(told.value)
    assert "Nothing was changed" in str(told.value)


@pytest.mark.parametrize("data", [None, b"", b"[1]", b"\xff", b"3", b'{"cluster": "c", "new": 1}'])
def test_what_cannot_be_read_says_nothing(data) -> None:
    assert Identity.from_json(data) in (Identity(), Identity(cluster="c"))
    assert Identity.from_json(OURS.to_json()) == OURS
