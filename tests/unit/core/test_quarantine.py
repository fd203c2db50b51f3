import pytest

from streamrec.core.ledger import quarantine
from streamrec.core.ledger.ledger import Ledger, OffsetSpan, from_record, to_record
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.errors import UserError
from tests.harness.training import batches


def test_written_as_partition_and_offsets():
    assert quarantine.written("2:10-30") == Quarantine(2, 10, 30)
    assert str(quarantine.written("2:10-30", "ana")) == "2:10-30 of ana"


@pytest.mark.parametrize("text", ["", "2", "2:10", "2:30-30", "2:30-10", "a:1-2", "2:-1-2"])
def test_anything_else_is_refused(text):
    with pytest.raises(UserError):
        quarantine.written(text)


def test_ranges_that_touch_become_one_and_users_stay_apart():
    one, two = Quarantine(0, 5, 9), Quarantine(0, 9, 12)
    ana, other = Quarantine(0, 6, 8, "ana"), Quarantine(1, 5, 9)
    assert quarantine.joined([two], [one, ana, other, one]) == (
        Quarantine(0, 5, 12), other, ana,
    )  # fmt: skip


def test_more_ranges_than_a_record_carries_are_refused():
    with pytest.raises(UserError, match="wider"):
        quarantine.joined((), [Quarantine(0, 10 * n, 10 * n + 1) for n in range(65)])


def test_the_ledger_shows_a_hole_and_counts_what_it_withheld():
    ledger, fresh = Ledger(), []
    for batch in batches(4):  # offsets 0 to 39
        ledger, intake = ledger.admit(batch, [Quarantine(0, 5, 25), Quarantine(1, 0, 99)])
        fresh += [example.offset for example in intake.fresh]
    mark = ledger.partitions[0]
    assert fresh == [*range(5), *range(25, 40)]
    assert mark.spans == (OffsetSpan(0, 5), OffsetSpan(25, 40))
    assert mark.holes == (OffsetSpan(5, 25),)
    assert (mark.trained, mark.quarantined, mark.lost) == (20, 20, 0)
    assert mark.position.offset == 40
    assert from_record(to_record(ledger)) == ledger


def test_one_users_examples_leave_no_hole_for_the_others():
    ledger, fresh = Ledger(), []
    for batch in batches(2):
        ledger, intake = ledger.admit(batch, [Quarantine(0, 0, 20, "u7")])
        fresh += [example.offset for example in intake.fresh]
    mark = ledger.partitions[0]
    assert fresh == [*range(7), *range(8, 20)]
    assert (mark.spans, mark.holes, mark.quarantined) == ((OffsetSpan(0, 20),), (), 1)


def test_what_is_quarantined_is_not_learned_when_it_is_sent_again():
    first, *_ = batches(1)
    ledger, _ = Ledger().admit(first, [Quarantine(0, 0, 10)])
    ledger, intake = ledger.admit(first)
    assert (intake.fresh, intake.seen_again) == ((), 10)
