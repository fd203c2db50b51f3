import pytest

from streamrec.core.ledger import undo
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.ledger.undo import UndoPoint
from streamrec.errors import UserError
from tests.fakes.generations import draft

PLACES = [UndoPoint(f"g{n}", {0: 100 * n, 1: 10}, 10 * n) for n in (4, 3, 2, 1)]
ALL = {"g1", "g2", "g3", "g4"}


def test_the_newest_that_has_learned_nothing_of_the_range():
    assert undo.choose(PLACES, ALL, 0, [Quarantine(0, 250, 420)]).generation == "g2"
    assert undo.choose(PLACES, ALL, 0, [Quarantine(0, 400, 420)]).generation == "g4"


def test_an_older_one_where_the_snapshot_is_gone():
    assert undo.choose(PLACES, {"g1", "g3"}, 0, [Quarantine(0, 250, 420)]).generation == "g1"


def test_what_was_quarantined_before_does_not_taint():
    bad = Quarantine(0, 50, 60)
    place = UndoPoint("g5", {0: 500}, 50, (bad,))
    assert undo.choose([place], {"g5"}, 0, [bad]).generation == "g5"


@pytest.mark.parametrize(
    ("snapshots", "first_batch", "why"),
    [
        (set(), 0, "no snapshot of it"),
        (ALL, 25, "mini-batches 20 to 24"),
    ],
)
def test_one_that_cannot_be_is_refused_with_the_reason(snapshots, first_batch, why):
    with pytest.raises(UserError, match=why):
        undo.choose(PLACES, snapshots, first_batch, [Quarantine(0, 250, 420)], "g2")


def test_a_tainted_one_is_refused_and_the_possible_ones_are_named():
    with pytest.raises(UserError, match=r"learned from 0:250-420.*Possible: g2, g1"):
        undo.choose(PLACES, ALL, 0, [Quarantine(0, 250, 420)], "g4")
    with pytest.raises(UserError, match="never champion"):
        undo.choose(PLACES, ALL, 0, [Quarantine(0, 250, 420)], "g9")


def test_when_nothing_is_possible_it_says_what_is():
    with pytest.raises(UserError, match="without --relearn"):
        undo.choose(PLACES, ALL, 0, [Quarantine(0, 5, 9)])


def test_a_place_is_read_from_a_manifest():
    manifest = draft(
        generation="g7", training={"batches": [3, 9], "quarantine": [
            {"partition": 0, "start": 1, "end": 2, "user_id": None}]}
    )  # fmt: skip
    assert undo.place_of(manifest) == UndoPoint("g7", {0: 9, 1: 0}, 9, (Quarantine(0, 1, 2),))


def test_a_range_that_grew_taints_only_by_what_is_new_in_it():
    """The trainer sees ranges that touch as one; the command sees the one that was written."""
    place = UndoPoint("g5", {0: 140}, 50, (Quarantine(0, 100, 150),))
    assert place.tainted([Quarantine(0, 150, 180)]) == []
    assert place.tainted([Quarantine(0, 100, 180)]) == []
    assert place.tainted([Quarantine(0, 90, 180)]) != []
    assert place.tainted([Quarantine(1, 100, 180)]) == []
    assert UndoPoint("g6", {0: 160}, 60, place.quarantine).tainted([Quarantine(0, 100, 180)]) != []


def test_everybodys_quarantine_covers_one_users_and_not_the_other_way():
    everybody, of_ann = Quarantine(0, 10, 20), Quarantine(0, 10, 20, "ann")
    assert UndoPoint("g1", {0: 50}, 1, (everybody,)).tainted([of_ann]) == []
    assert UndoPoint("g1", {0: 50}, 1, (of_ann,)).tainted([everybody]) != []
    assert UndoPoint("g1", {0: 50}, 1, (of_ann,)).tainted([Quarantine(0, 10, 20, "bob")]) != []
