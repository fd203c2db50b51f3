"""A mini-batch, learned: what is new in it, once it has been scored by a candidate on trial.

What of a mini-batch is to be learned has one answer (``admit``), for training and for repeating
it (``loop.training.reproduce``): a batch may be unreadable, of another feature set, of the wrong
width, not finite, or contradict itself.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from streamrec.core.examples import Example, TrainingBatch, forgetting
from streamrec.core.ledger import ledger as watermarks
from streamrec.core.ledger.ledger import Intake, Ledger
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.errors import GenerationRefused, InvalidField, Refused
from streamrec.loop.training.dependencies import TrainerDependencies
from streamrec.loop.training.freshness import Freshness
from streamrec.loop.training.save_points import SavePoints
from streamrec.loop.training.training_progress import TrainingCounts, TrainingProgress
from streamrec.ports import DeliveredBatch, LearnReport, ShadowResult, Timed

log = logging.getLogger(__name__)

Watch = Callable[[Sequence[Example]], object]
"""Shown what the learner has not learned yet, and is about to."""


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


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """TrainingProgress after a mini-batch. ``diverged``: back at the weights of the last
    checkpoint."""

    progress: TrainingProgress
    diverged: bool = False


class Learning:
    """Learns mini-batches, in the order they are given. ``counts`` are added to."""

    def __init__(
        self,
        parts: TrainerDependencies,
        points: SavePoints,
        counts: TrainingCounts,
    ) -> None:
        self._learner, self._tracker = parts.learner, parts.tracker
        self._check, self._refuse, self._observe = parts.check, parts.refuse, parts.observe
        self._clock, self._meter = parts.clock, parts.meter
        self._points = points
        self._counts = counts
        self.freshness = Freshness()

    def take_in(
        self, delivered: DeliveredBatch, progress: TrainingProgress, watch: Watch
    ) -> BatchOutcome:
        """Learn what is to be learned of a mini-batch; what the learner has learned then.

        Raises:
            Unavailable: it cannot be sent to the dead letters; nothing was learned.
            GenerationRefused: it diverged, and there is no checkpoint to go back to.
        """
        taken = admit(delivered, progress.ledger, self._check, progress.quarantine)
        if taken.refused is not None:
            self._to_dead_letters(delivered, taken.refused)
        self._count_intake(delivered, taken)
        fresh = taken.intake.fresh
        steps = self._learn(fresh, progress.ledger.trained, watch)
        self.freshness.learned(
            delivered.offset, fresh, delivered.timestamp_ms, self._clock.now_ms()
        )
        after = replace(progress, ledger=taken.ledger, next_batch=delivered.offset + 1)
        if steps is None:
            return BatchOutcome(self._give_up(after), diverged=True)
        waiting = progress.waiting + len(fresh)
        return BatchOutcome(replace(after, waiting=waiting, steps=progress.steps + steps))

    def _give_up(self, after: TrainingProgress) -> TrainingProgress:
        """A loss was not a number: back to the weights of the newest checkpoint.

        What was taken in since then becomes a hole, never to be learned again.
        """
        saved = self._points.newest()
        if saved is None:
            raise GenerationRefused("the learner diverged and no checkpoint can be read")
        self._learner.load(saved.directory)
        self.freshness.forget()
        before = TrainingProgress.from_record(saved.record)
        ledger = watermarks.give_up(after.ledger, before.ledger)
        lost = ledger.lost - after.ledger.lost
        self._counts.diverged += 1
        self._counts.lost_offsets += lost
        log.error(
            "a loss of mini-batch %d is not a number: back to the weights of the last "
            "checkpoint; %d offsets since then are given up",
            after.next_batch - 1,
            lost,
        )
        return replace(after, ledger=ledger, steps=before.steps)

    def _to_dead_letters(self, delivered: DeliveredBatch, reason: Refused) -> None:
        self._refuse(delivered, reason)
        self._counts.refused_batches += 1
        log.warning("mini-batch %d refused: %s", delivered.offset, reason)

    def _count_intake(self, delivered: DeliveredBatch, taken: Admitted) -> None:
        intake, batch = taken.intake, delivered.batch
        self._counts.seen_again += intake.seen_again
        self._counts.quarantined += intake.quarantined
        if intake.hole is None:
            return
        self._counts.lost_offsets += intake.hole.end - intake.hole.start
        if isinstance(batch, TrainingBatch) and taken.refused is None:
            log.error(
                "events %d to %d of partition %d never arrived as mini-batches: not trained",
                intake.hole.start,
                intake.hole.end - 1,
                batch.partition,
            )

    def _learn(self, fresh: Sequence[Example], trained: int, watch: Watch) -> int | None:
        """Forget whom to, score, then learn; the steps taken, None when a loss is not finite."""
        kept, users = forgetting(fresh)
        for user_id in users:
            self._counts.forgotten += self._learner.forget(user_id)
        if not kept:
            return 0
        self._observe(kept)
        watch(kept)
        with self._meter.timed("learn"):
            report = self._learner.learn(kept)
        if not all(map(math.isfinite, report.losses.values())):
            return None
        self._count(report, trained)
        now_ms = self._clock.now_ms()
        ages_s = [(now_ms - example.produced_at_ms) / 1000 for example in kept]
        self._meter.observe(Timed.LEARNED, ages_s)
        return report.steps

    def _count(self, report: LearnReport, trained: int) -> None:
        self._counts.examples += report.examples
        self._counts.steps += report.steps
        self._counts.encoder_steps += report.encoder_steps
        self._counts.limited += report.limited
        for shadow_results in report.shadow_results:
            self._tell(shadow_results, trained + report.examples)
        if report.losses:
            self._counts.losses = report.losses
            curves = {f"loss/{name}": loss for name, loss in report.losses.items()}
            self._tracker.write(trained + report.examples, curves)

    def _tell(self, shadow_results: ShadowResult, trained: int) -> None:
        """An encoder version was tried beside the one in use."""
        self._counts.encoders_tried += 1
        self._counts.encoders_taken += shadow_results.taken
        self._tracker.write(trained, {"encoder/gain": shadow_results.gain})
        log.info(
            "encoder version %s %s: %+.4f nats an example, error %.4f",
            shadow_results.encoder_version,
            "taken, it ranks better than the one in use" if shadow_results.taken else "not taken",
            shadow_results.gain,
            shadow_results.error,
        )
