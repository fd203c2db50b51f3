"""Candidates, one at a time: frozen, on trial, judged, sent out, and what came of it.

Knows when a candidate is due and when its trial is over. Does not know how it is scored
(``loop.training.trial``) or what is good enough (``core.release.gate``), how a generation is
written (``loop.training.dispatch``) or released (``loop.releasing.release_queue``).

Learning does not wait for any of it: a candidate is a copy of the weights, and what it had
learned by then (``Candidate.ledger``) goes with it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from streamrec.core.examples import Example
from streamrec.core.ledger.ledger import Ledger
from streamrec.core.release import gate
from streamrec.core.release.gate import Accept, Reject
from streamrec.loop.releasing.release import Outcome
from streamrec.loop.releasing.release_queue import Released
from streamrec.loop.training.dependencies import TrainerDependencies, TrainerSchedule
from streamrec.loop.training.dispatch import Dispatch, provenance
from streamrec.loop.training.save_points import SavePoints
from streamrec.loop.training.training_progress import TrainingCounts, TrainingProgress
from streamrec.loop.training.trial import Candidate, Champion, Trial
from streamrec.ports import Provenance

log = logging.getLogger(__name__)

UNTRAINED = "untrained: the first champion"


class Candidates:
    """The candidate of the moment, if there is one. ``counts`` are added to."""

    def __init__(
        self,
        parts: TrainerDependencies,
        schedule: TrainerSchedule,
        points: SavePoints,
        counts: TrainingCounts,
    ) -> None:
        self._parts = parts
        self._rhythm = schedule
        self._points = points
        self._counts = counts
        self._dispatch = Dispatch(
            parts.learner, parts.generations, parts.store, parts.champions, parts.line, parts.work
        )
        self._trial: Trial | None = None
        self._since_ms = 0  # when the last one was frozen

    @property
    def on_trial(self) -> Candidate | None:
        return self._trial.candidate if self._trial is not None else None

    @property
    def stage(self) -> str:
        """What the candidate, if any, is doing: for people."""
        if self._trial is not None:
            number, seen = self._trial.candidate.sequence, self._trial.examples
            return f"candidate {number} on trial, {seen} examples"
        return "releasing" if self._parts.line.busy else "learning"

    def begin(self) -> None:
        """None is on trial; the next is due when enough has been learned from here on."""
        self._trial = None
        self._since_ms = self._parts.clock.now_ms()

    def drop(self) -> None:
        """What is on trial comes from weights that are void."""
        self._trial = None

    def watch(self, fresh: Sequence[Example]) -> None:
        """Examples that nobody has learned from yet."""
        if self._trial is not None:
            self._trial.watch(fresh)

    def judge_anew(self, champion: Champion) -> None:
        """The champion has changed: a trial starts again, against this one."""
        if self._trial is not None:
            self._trial.restart(champion)
            log.info("candidate %d is judged anew", self._trial.candidate.sequence)

    def send_first(self) -> str:
        """The learner as it is, untrained, goes out to be the first champion; its generation."""
        first = Candidate(
            0, self._parts.learner.snapshot(), Ledger(), 0, self._parts.clock.now_ms()
        )
        directory = self._dispatch.write(first)
        parent = self._parts.start_from
        born = Provenance(0, parent, {}, {}, (0, 0), 0, None, first.made_at_ms)
        sealed = self._dispatch.generations.seal(directory, born)
        reason = f"the weights of {parent}: the first champion" if parent else UNTRAINED
        self._dispatch.send(first, directory, sealed, reason, accepted=True)
        return sealed.generation

    def freeze_due(self, progress: TrainingProgress) -> TrainingProgress:
        """Freeze the next one, with a snapshot to go back to, when it is due and none is out."""
        if not self._due(progress):
            return progress
        champion = self._parts.champions.champion
        self._since_ms = self._parts.clock.now_ms()
        candidate = Candidate(
            progress.sequence,
            self._parts.learner.snapshot(),
            progress.ledger,
            progress.next_batch,
            self._since_ms,
            progress.epoch,
        )
        numbered = replace(progress, sequence=progress.sequence + 1)
        self._points.freeze(candidate.sequence, numbered)
        self._trial = Trial(candidate, champion, self._parts.judge)
        self._counts.candidates += 1
        log.info("candidate %d on trial against %s", candidate.sequence, champion.generation)
        return replace(numbered, waiting=0)

    def decide_due(self, progress: TrainingProgress) -> None:
        """Decide the trial when it has seen enough: release, or file with the reasons."""
        trial, schedule = self._trial, self._rhythm
        now_ms = self._parts.clock.now_ms()
        if trial is None or not trial.due(now_ms, schedule.gate_examples, schedule.gate_s):
            return
        candidate = trial.candidate
        directory = self._dispatch.write(candidate)
        verdict = trial.verdict(self._dispatch.norms(directory))
        accepted = isinstance(verdict, Accept)
        origin = provenance(candidate, progress, gate.to_record(verdict))
        sealed = self._dispatch.generations.seal(directory, origin)
        self._settle_snapshot(candidate, sealed.generation if accepted else None)
        self._tell(candidate, verdict, progress.ledger.trained)
        self._trial = None
        self._dispatch.send(candidate, directory, sealed, gate.reason(verdict), accepted=accepted)

    def take_in_release(self, progress: TrainingProgress) -> TrainingProgress:
        """How a release in the background ended, if one did; progress with it as the parent."""
        released = self._parts.line.finished()
        if released is None:
            return progress
        generation, candidate = released.outgoing.sealed.generation, released.outgoing.candidate
        if candidate.epoch < progress.epoch:
            log.warning("%s was learned before the learner went back: ignored", generation)
            return progress
        self._tell_outcome(released)
        if released.outcome not in (Outcome.ACTIVATED, Outcome.HELD):
            return progress
        return progress.after_parent(generation, candidate.ledger, candidate.next_batch)

    def _due(self, progress: TrainingProgress) -> bool:
        if self._trial is not None or self._parts.line.busy:
            return False
        if self._parts.champions.champion.generation is None:
            return False
        passed_ms = self._parts.clock.now_ms() - self._since_ms
        late = progress.waiting > 0 and passed_ms >= self._rhythm.release_s * 1000
        return late or progress.waiting >= self._rhythm.release_examples

    def _settle_snapshot(self, candidate: Candidate, generation: str | None) -> None:
        """The candidate has passed as ``generation``, or failed."""
        if generation is None:
            self._points.failed(candidate.sequence)
        else:
            state = self._parts.champions.state
            self._points.passed(candidate.sequence, generation, {state.champion, state.previous})

    def _tell(self, candidate: Candidate, verdict: Accept | Reject, trained: int) -> None:
        rejected = isinstance(verdict, Reject)
        self._counts.rejected += rejected
        how = "rejected" if rejected else "passes"
        log.info("candidate %d %s: %s", candidate.sequence, how, gate.reason(verdict))
        points = {f"gate/{name}": m.difference for name, m in verdict.report.metrics.items()}
        self._parts.scalars.write(trained, points)

    def _tell_outcome(self, released: Released) -> None:
        generation, reason = released.outgoing.sealed.generation, released.reason
        match released.outcome:
            case Outcome.ACTIVATED:
                self._counts.activated += 1
                log.info("%s activated: %s", generation, reason)
            case Outcome.HELD:
                self._counts.held += 1
                log.info("%s passed but is not activated: %s", generation, reason)
            case Outcome.ABANDONED:
                self._counts.rejected += 1
                log.warning("%s abandoned as canary: %s", generation, reason)
            case Outcome.REFUSED:
                self._counts.rejected += 1
                log.error("%s refused by the workers: %s", generation, reason)
