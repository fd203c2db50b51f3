"""What of a mini-batch is to be learned: the one answer, for training and for repeating it.

Knows that a batch may be unreadable, of another feature set, of the wrong width, not finite,
or contradict itself. Does not know what follows: dead letters and counts
(``loop.training.learn``), or nothing (``reproduce``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamrec.core.examples import TrainingBatch
from streamrec.core.ledger.ledger import Intake, Ledger
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.errors import InvalidField, Refused
from streamrec.ports import DeliveredBatch
from streamrec.tasks.ranking.features import FEATURES


@dataclass(frozen=True, slots=True)
class Admitted:
    """``ledger``: once ``intake.fresh`` has been learned. A refused batch has none of it."""

    ledger: Ledger
    intake: Intake
    refused: Refused | None = None


def admit(
    delivered: DeliveredBatch, ledger: Ledger, feature_set: str, ranges: Sequence[Quarantine]
) -> Admitted:
    """A batch that cannot be learned becomes a hole, as far as its offsets can be read."""
    batch = delivered.batch
    if isinstance(batch, Refused):
        return Admitted(ledger, Intake((), 0, None), batch)
    try:
        _check_features(batch, feature_set)
        return Admitted(*ledger.admit(batch, ranges))
    except InvalidField as problem:
        given_up, hole = ledger.skip(batch)
        return Admitted(given_up, Intake((), 0, hole), problem)


def _check_features(batch: TrainingBatch, ours: str) -> None:
    if batch.feature_set != ours:
        raise InvalidField(
            f"its features are of set {batch.feature_set}, this trainer knows {ours}: run "
            "feature workers and trainer at one version"
        )
    for example in batch.examples:
        if example.stats_CF.shape[1] != len(FEATURES):
            raise InvalidField(
                f"stats_CF of the example at offset {example.offset} has "
                f"{example.stats_CF.shape[1]} features; expected {len(FEATURES)}"
            )
        if not (np.isfinite(example.stats_CF).all() and np.isfinite(example.log_q_C).all()):
            raise InvalidField(
                f"the example at offset {example.offset} holds a number that is not finite"
            )
