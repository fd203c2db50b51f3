"""What of a mini-batch is to be learned: the one answer, for training and for repeating it.

Knows that a batch may be unreadable, of another feature set, of the wrong width, not finite,
or contradict itself. Does not know what follows: dead letters and counts
(``loop.training.learn``), or nothing (``reproduce``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamrec.core.examples import TrainingBatch
from streamrec.core.ledger.ledger import Intake, Ledger
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.errors import InvalidField, Refused
from streamrec.ports import DeliveredBatch


@dataclass(frozen=True, slots=True)
class Admitted:
    """``ledger``: once ``intake.fresh`` has been learned. A refused batch has none of it."""

    ledger: Ledger
    intake: Intake
    refused: Refused | None = None


def admit(
    delivered: DeliveredBatch,
    ledger: Ledger,
    check: Callable[[TrainingBatch], None],
    ranges: Sequence[Quarantine],
) -> Admitted:
    """A batch that cannot be learned becomes a hole, as far as its offsets can be read.

    ``check``: the task's; raises InvalidField.
    """
    batch = delivered.batch
    if isinstance(batch, Refused):
        return Admitted(ledger, Intake((), 0, None), batch)
    try:
        check(batch)
        return Admitted(*ledger.admit(batch, ranges))
    except InvalidField as problem:
        given_up, hole = ledger.skip(batch)
        return Admitted(given_up, Intake((), 0, hole), problem)
