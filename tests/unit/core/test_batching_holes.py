"""What was given up is covered by no mini-batch, so that the ledger finds it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from streamrec.core.ledger.ledger import Ledger, OffsetSpan
from streamrec.core.state.batching import Batcher, BatchRules

HOLES = [(5, 8), (20, 30)]


@pytest.mark.parametrize("at_once", [1, 3, 64])
@pytest.mark.parametrize("offsets", [(3, 9, 12, 33), (9, 31), (3, 4, 40), (35,)])
def test_holes_are_what_no_batch_covers(offsets, at_once):
    batcher = Batcher(0, "f", BatchRules(at_once, 10**6, 0))
    batcher.leave_out(HOLES)
    for offset in offsets:
        batcher.add(
            SimpleNamespace(partition=0, offset=offset, index=0, user_id="u", forgets=False), 1, 0
        )
    ledger, seen = Ledger(), []
    for batch in batcher.cut(1, 50):
        ledger, intake = ledger.admit(batch)
        seen += [example.offset for example in intake.fresh]
    assert seen == list(offsets)
    assert ledger.partitions[0].holes == tuple(OffsetSpan(*hole) for hole in HOLES)
    assert ledger.trained_through == {0: 50}
