"""The trainer as a worker: waits its turn, trains round after round, says how it goes.

How to learn and release is in ``loop.training.train``.

1. Wait for the lease: two trainers never train at once. The second says who has it.
2. Wait until the catalogue stands still, then start the trainer.
3. Rounds. A dependency that goes away is waited for, said once; a beat tells the fleet
   about once a second, a line tells people about every five.
4. When told to stop: one last checkpoint, leave the fleet, give the lease back.

A lease that somebody else took in between, a topic made anew, a checkpoint that does not
fit: these end the worker, and the message says what to do.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from streamrec.core.events import Item, Source
from streamrec.core.state.catalogue import items_of, removed
from streamrec.errors import Unavailable
from streamrec.loop.background import Background, running
from streamrec.loop.training.train import Trainer
from streamrec.ports import FRESH, Fleet, PartitionStore, WorkerStatus

log = logging.getLogger(__name__)

POLL_S = 0.2
BEAT_EVERY_S = 1.0
SAY_EVERY_S = 5.0
LEASE_RETRY_S = 1.0
SETTLE_LOOKS = 10
TRAINER = "trainer"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to train; ``infra.stores.lease`` is the real one."""

    try_acquire: Callable[[], str | None]  # None: it is ours; else who holds it. Unavailable
    confirm: Callable[[], None]  # raises Unavailable, LeaseLost
    release: Callable[[], None]


class CatalogueMirror:
    """New and changed items, from the same rows that every worker reads.

    What is done with an item is the trainer's: its order of arrival is part of training.
    """

    def __init__(self, store: PartitionStore, partitions: int) -> None:
        self._held: list[Item] = []  # read, and not handed out yet
        self._seen: dict[Source, set[str]] = defaultdict(set)
        self._looks: list[int] = []
        self._store = store
        self._since = {Source("items", number): 0 for number in range(partitions)}

    def refresh(self) -> list[Item]:
        """Items written since the last call. Raises Unavailable."""
        self._read()
        held, self._held = self._held, []
        return held

    def _read(self) -> None:
        for source, since in self._since.items():
            changes = self._store.read_rows(source, since)
            self._held += items_of(changes.rows)
            if changes.whole:  # what is missing was removed, longer ago than anybody remembers
                self._held += map(removed, sorted(self._seen[source] - changes.rows.keys()))
            self._seen[source] |= changes.rows.keys()
            self._since[source] = changes.position

    def settled(self) -> bool:
        """Whether there are items and no more are coming in; asked about once a second.

        What all items share is learned from the first ones: better from all of them.
        Raises Unavailable.
        """
        self._read()
        self._looks.append(sum(map(len, self._seen.values())))
        *before, now = self._looks
        return now > 0 and (now in before[-1:] or len(before) >= SETTLE_LOOKS)


@dataclass(frozen=True, slots=True)
class TrainingDependencies:
    """What a training worker is made of."""

    trainer: Trainer
    lease: Lease
    fleet: Fleet
    memory_mb: Callable[[], float]
    settled: Callable[[], bool]  # whether the catalogue is there to start with
    watchers: Sequence[Background] = ()  # run while this is the one that trains
    turned: Callable[[], object] = lambda: None  # called whenever the main loop comes round
    gauges: Callable[[], Mapping[str, float]] = dict  # what more is told


class TrainingWorker:
    """Runs until ``stop`` is set. ``identity``: id, role, host, pid and start, for the fleet."""

    def __init__(
        self,
        parts: TrainingDependencies,
        identity: WorkerStatus,
        stop: threading.Event,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trainer, self._lease, self._fleet = parts.trainer, parts.lease, parts.fleet
        self._feed, self._champions = parts.trainer.feed, parts.trainer.champions
        self._clock, self._tracker = parts.trainer.clock, parts.trainer.tracker
        self._memory_mb, self._settled = parts.memory_mb, parts.settled
        self._watchers, self._turned = parts.watchers, parts.turned
        self._more = parts.gauges
        self._identity = identity
        self._stop = stop
        self._timer = timer
        self._away = False
        self._said_s = self._rated_s = timer()
        self._said_examples = self._rated_examples = 0
        self._per_second = 0.0
        self._lag = 0

    def run(self) -> None:
        """See the module. Raises LeaseLost, UserError, GenerationRefused."""
        beat = Background("beat", self._beat, BEAT_EVERY_S, self._stop)
        try:
            with running(self._stop, beat):
                if self._retry(self._acquire):
                    self._train()
        finally:
            self._fleet.leave(self._identity.worker_id)

    def _train(self) -> None:
        try:
            if self._retry(self._start):
                with running(self._stop, *self._watchers):
                    while not self._stop.is_set():
                        self._turn()
                    self._last_checkpoint()
        finally:
            self._lease.release()

    def _last_checkpoint(self) -> None:
        try:
            self._lease.confirm()
        except Unavailable as error:
            log.warning("no last checkpoint (%s): the next start learns a little again", error)
            return
        self._trainer.checkpoint()
        progress = self._trainer.progress
        log.info("checkpoint written at mini-batch %d", progress.next_batch)

    def _acquire(self) -> bool:
        other = self._lease.try_acquire()
        if other is None:
            return True
        if self._timer() - self._said_s >= SAY_EVERY_S or not self._away:
            self._said_s = self._timer()
            log.info("%s is training; waiting for its turn to end", other)
        self._away = True
        return False

    def _start(self) -> bool:
        self._lease.confirm()
        if not self._settled():
            if self._timer() - self._said_s >= SAY_EVERY_S:
                self._said_s = self._timer()
                log.info("waiting for the catalogue")
            return False
        self._trainer.start()
        return True

    def _retry(self, attempt: Callable[[], bool]) -> bool:
        """Until it works; False when told to stop before."""
        while not self._stop.is_set():
            try:
                if attempt():
                    self._note_back()
                    return True
                self._stop.wait(LEASE_RETRY_S)
            except Unavailable as error:
                self._wait_for(error)
        return False

    def _turn(self) -> None:
        """One round, and what is due to be said."""
        self._turned()
        try:
            self._trainer.round(POLL_S)
            self._measure()
        except Unavailable as error:
            self._wait_for(error)
            return
        self._note_back()
        if self._timer() - self._said_s >= SAY_EVERY_S:
            self._say()

    def _note_back(self) -> None:
        if self._away:
            log.info("back; training goes on")
        self._away = False

    def _wait_for(self, error: Unavailable) -> None:
        if not self._away:
            log.warning("%s; waiting", error)
        self._away = True
        self._stop.wait(error.retry_after_s)

    def _measure(self) -> None:
        """Rate and lag, about once a second. Raises Unavailable."""
        elapsed_s = self._timer() - self._rated_s
        if elapsed_s < BEAT_EVERY_S:
            return
        counts = self._trainer.counts
        examples = counts.examples
        self._per_second = (examples - self._rated_examples) / elapsed_s
        self._rated_s, self._rated_examples = self._timer(), examples
        self._lag = self._feed.lag()

    def _say(self) -> None:
        self._said_s = self._timer()
        trainer, counts = self._trainer, self._trainer.counts
        points = {"examples_per_second": self._per_second, "lag_batches": self._lag}
        self._tracker.write(trainer.trained, points)
        if counts.examples == self._said_examples:
            return
        self._said_examples = counts.examples
        losses = ", ".join(f"{name} {loss:.4f}" for name, loss in counts.losses.items())
        log.info(
            "%d examples (%.0f/s), %d steps, %d of the encoder; %s; lag %d batches; %s",
            counts.examples,
            self._per_second,
            counts.steps,
            counts.encoder_steps,
            losses or "no step yet",
            self._lag,
            trainer.stage,
        )

    def _beat(self) -> None:
        registry = self._champions.state
        self._fleet.beat(
            replace(
                self._identity,
                beat_at_ms=self._clock.now_ms(),
                active=registry.champion,
                revision=registry.revision,
                gauges=self._gauges(),
                snapshots=self._trainer.snapshots,
            )
        )

    def _gauges(self) -> Mapping[str, float]:
        counts = self._trainer.counts
        return {
            "examples": counts.examples,
            "per_second": self._per_second,
            "steps": counts.steps,
            "encoder_steps": counts.encoder_steps,
            "encoders_tried": counts.encoders_tried,
            "encoders_taken": counts.encoders_taken,
            "limited_by_quota": counts.limited,
            "lag": self._lag,
            "candidates": counts.candidates,
            "activated": counts.activated,
            "held": counts.held,
            "rejected": counts.rejected,
            "seen_again": counts.seen_again,
            "refused_batches": counts.refused_batches,
            "lost_offsets": counts.lost_offsets,
            "diverged": counts.diverged,
            "quarantined": counts.quarantined,
            "relearned": counts.relearned,
            "tracker_failures": self._tracker.failures,
            "memory_mb": self._memory_mb(),
            **{f"loss_{name}": loss for name, loss in counts.losses.items()},
            **{f"{FRESH}{part}": took_s for part, took_s in counts.fresh_s.items()},
            **self._more(),
        }
