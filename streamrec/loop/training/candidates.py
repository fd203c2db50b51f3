"""Candidates, one at a time: frozen, on trial, judged, sent out, and what came of it.

How a candidate is scored is in ``loop.training.trial``, what is good enough in
``core.release.gate``, how a generation is released in ``loop.releasing.release_queue``.

Learning does not wait for any of it: a candidate is a copy of the weights, and what it had
learned by then (``Candidate.ledger``) goes with it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from streamrec.core.examples import Example
from streamrec.core.ledger import ledger as watermarks
from streamrec.core.ledger.ledger import Ledger
from streamrec.core.release import gate
from streamrec.core.release.gate import Accept, Reject
from streamrec.errors import GenerationRefused, Unavailable
from streamrec.loop.releasing.release import Outcome
from streamrec.loop.releasing.release_queue import PendingRelease, Released
from streamrec.loop.training.dependencies import TrainerDependencies, TrainerSchedule
from streamrec.loop.training.freshness import Freshness, ReleaseTimes
from streamrec.loop.training.generation_traces import GenerationTraces
from streamrec.loop.training.save_points import SavePoints
from streamrec.loop.training.training_progress import TrainingCounts, TrainingProgress
from streamrec.loop.training.trial import Candidate, Champion, Trial
from streamrec.ports import Counted, Provenance, Record, Sealed, Timed, within

log = logging.getLogger(__name__)

UNTRAINED = "untrained: the first champion"


class Candidates:
    """The candidate of the moment, if there is one. ``counts`` are added to.

    Weight files are written to ``parts.work``, a directory of its own.
    """

    def __init__(
        self,
        parts: TrainerDependencies,
        schedule: TrainerSchedule,
        points: SavePoints,
        counts: TrainingCounts,
        *,
        freshness: Freshness,
        traces: GenerationTraces,
    ) -> None:
        self._learner, self._champions = parts.learner, parts.champions
        self._generations, self._queue = parts.generations, parts.release_queue
        self._clock, self._judge, self._tracker = parts.clock, parts.judge, parts.tracker
        self._store, self._work, self._start_from = parts.store, parts.work, parts.start_from
        self._schedule = schedule
        self._points = points
        self._counts, self._meter, self._freshness = counts, parts.meter, freshness
        self._traces = traces
        self._trial: Trial | None = None
        self._since_ms = 0  # when the last one was frozen
        self._judged_ms = 0  # when the one that is out was

    @property
    def on_trial(self) -> Candidate | None:
        return self._trial.candidate if self._trial is not None else None

    @property
    def stage(self) -> str:
        """What the candidate, if any, is doing: for people."""
        if self._trial is not None:
            candidate, seen = self._trial.candidate, self._trial.examples
            return f"candidate {candidate.sequence} on trial, {seen} examples"
        return "releasing" if self._queue.busy else "learning"

    def begin(self) -> None:
        """None is on trial; the next is due when enough has been learned from here on."""
        self.drop()
        self._since_ms = self._clock.now_ms()

    def drop(self) -> None:
        """What is on trial comes from weights that are void."""
        self._trial = None
        self._traces.drop("the learner went back")

    def watch(self, fresh: Sequence[Example]) -> None:
        """Examples that nobody has learned from yet."""
        if self._trial is not None:
            self._trial.watch(fresh)

    def judge_anew(self, champion: Champion) -> None:
        """The champion has changed: a trial starts again, against this one."""
        if self._trial is not None:
            candidate = self._trial.candidate
            self._trial.restart(champion)
            log.info("candidate %d is judged anew", candidate.sequence)

    def send_first(self) -> str:
        """The learner as it is, untrained, goes out to be the first champion; its generation."""
        first = Candidate(0, self._learner.snapshot(), Ledger(), 0, self._clock.now_ms())
        directory = self._write(first)
        parent = self._start_from
        born = Provenance(0, parent, {}, {}, (0, 0), 0, None, first.made_at_ms)
        sealed = self._generations.seal(directory, born)
        reason = f"the weights of {parent}: the first champion" if parent else UNTRAINED
        self._tracker.made(sealed, 0)
        self._send(first, directory, sealed, reason, accepted=True)
        return sealed.generation

    def freeze_due(self, progress: TrainingProgress) -> TrainingProgress:
        """Freeze the next one, with a snapshot to go back to, when it is due and none is out."""
        if not self._due(progress):
            return progress
        champion = self._champions.champion
        self._since_ms = self._clock.now_ms()
        candidate = Candidate(
            progress.sequence,
            self._learner.snapshot(),
            progress.ledger,
            progress.next_batch,
            self._since_ms,
            progress.epoch,
        )
        numbered = replace(progress, sequence=progress.sequence + 1)
        self._points.freeze(candidate.sequence, numbered)
        self._trial = Trial(candidate, champion, self._judge)
        self._traces.freeze(candidate.sequence, champion.generation or "")
        self._counts.candidates += 1
        log.info("candidate %d on trial against %s", candidate.sequence, champion.generation)
        return replace(numbered, waiting=0)

    def decide_due(self, progress: TrainingProgress) -> None:
        """Decide the trial when it has seen enough: release, or file with the reasons."""
        trial, schedule = self._trial, self._schedule
        now_ms = self._clock.now_ms()
        if trial is None or not trial.due(now_ms, schedule.gate_examples, schedule.gate_s):
            return
        candidate = trial.candidate
        directory = self._write(candidate)
        verdict = trial.verdict(self._norms(directory))
        accepted = isinstance(verdict, Accept)
        origin = provenance(candidate, progress, gate.to_record(verdict))
        sealed = self._generations.seal(directory, origin)
        self._settle_snapshot(candidate, sealed.generation if accepted else None)
        reason = gate.reason(verdict)
        with within(self._traces.out):
            self._tell(candidate, sealed, verdict, progress.ledger.trained)
        self._judged_ms = self._clock.now_ms()
        self._traces.judge(sealed.generation, reason, accepted=accepted)
        self._trial = None
        self._send(candidate, directory, sealed, reason, accepted=accepted)

    def take_in_release(self, progress: TrainingProgress) -> TrainingProgress:
        """How a release in the background ended, if one did; progress with it as the parent."""
        released = self._queue.finished()
        if released is None:
            return progress
        generation, candidate = released.generation, released.candidate
        if candidate.epoch < progress.epoch:
            log.warning("%s was learned before the learner went back: ignored", generation)
            return progress
        with within(released.pending.traceparent):
            self._tell_outcome(released)
        self._traces.settle(str(released.outcome or "rejected"))
        if released.outcome not in (Outcome.ACTIVATED, Outcome.HELD):
            return progress
        return progress.after_parent(generation, candidate.ledger, candidate.next_batch)

    def _due(self, progress: TrainingProgress) -> bool:
        if self._trial is not None or self._queue.busy:
            return False
        if self._champions.generation is None:
            return False
        passed_ms = self._clock.now_ms() - self._since_ms
        late = progress.waiting > 0 and passed_ms >= self._schedule.release_s * 1000
        return late or progress.waiting >= self._schedule.release_examples

    def _write(self, candidate: Candidate) -> Path:
        """A directory with the candidate's weight files."""
        directory = self._work / f"candidate-{candidate.sequence:06d}"
        _empty(directory)
        self._learner.write_generation(candidate.scorer, directory)
        return directory

    def _norms(self, directory: Path) -> Mapping[str, float]:
        """How far the weights are from the champion's; nothing if those cannot be read."""
        generation = self._champions.generation
        try:
            champion = self._store.get(generation) if generation else None
            return self._generations.norms(directory, champion)
        except (GenerationRefused, Unavailable) as error:
            log.warning("how far the weights moved is not judged: %s", error)
            return {}

    def _send(
        self,
        candidate: Candidate,
        directory: Path,
        sealed: Sealed,
        reason: str,
        *,
        accepted: bool,
    ) -> None:
        """Hand a finished directory to the release queue, which works in the background."""
        self._champions.keep_warm(sealed.generation, candidate.scorer)
        out = self._traces.out
        self._queue.submit(PendingRelease(sealed, directory, candidate, reason, accepted, out))

    def _settle_snapshot(self, candidate: Candidate, generation: str | None) -> None:
        """The candidate has passed as ``generation``, or failed."""
        if generation is None:
            self._points.failed(candidate.sequence)
        else:
            state = self._champions.state
            self._points.passed(candidate.sequence, generation, {state.champion, state.previous})

    def _tell(
        self, candidate: Candidate, sealed: Sealed, verdict: Accept | Reject, trained: int
    ) -> None:
        rejected = isinstance(verdict, Reject)
        self._counts.rejected += rejected
        took_s = (self._clock.now_ms() - candidate.made_at_ms) / 1000
        self._meter.observe(Timed.STAGE, [took_s], stage="gate")
        for kind in gate.kinds(verdict):
            self._meter.count(
                Counted.VERDICTS, verdict="rejected" if rejected else "accepted", reason=kind
            )
        how = "rejected" if rejected else "passes"
        log.info("candidate %d %s: %s", candidate.sequence, how, gate.reason(verdict))
        report = verdict.report
        points = {f"gate/{name}": m.difference for name, m in report.metrics.items()}
        self._tracker.write(trained, points)
        self._tracker.made(sealed, trained)

    def _tell_outcome(self, released: Released) -> None:
        generation, reason = released.generation, released.reason
        self._measure(released)
        self._tracker.settled(generation, str(released.outcome or "rejected"))
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

    def _measure(self, released: Released) -> None:
        report = released.report
        if released.outcome is None:
            return
        self._meter.count(Counted.RELEASES, outcome=released.outcome)
        if report is None:
            return
        self._meter.observe(Timed.STAGE, [report.staging.took_ms / 1000], stage="stage")
        if report.swap is not None:
            self._meter.observe(Timed.STAGE, [report.swap.took_ms / 1000], stage="activate")
            candidate, now_ms = released.candidate, self._clock.now_ms()
            judged_ms = self._judged_ms or candidate.made_at_ms
            times = ReleaseTimes(candidate.made_at_ms, judged_ms, report.swap.took_ms, now_ms)
            ages_s = self._freshness.released(candidate.next_batch, times)
            self._meter.observe(Timed.FRESHNESS, ages_s)
            self._counts.fresh_s = self._freshness.parts_s


def provenance(candidate: Candidate, progress: TrainingProgress, report: Record) -> Provenance:
    """Where a candidate comes from. ``report``: the gate's, with its decision."""
    ledger = candidate.ledger
    return Provenance(
        sequence=candidate.sequence,
        parent=progress.parent,
        offsets=dict(ledger.since_parent()),
        holes=dict(ledger.holes_since_parent()),
        training_batches=(progress.parent_batch, candidate.next_batch),
        examples=max(0, ledger.trained - progress.parent_trained),
        gate=report,
        created_at_ms=candidate.made_at_ms,
        quarantine=progress.quarantine,
        epoch=progress.epoch,
        ledger=watermarks.to_record(ledger),
        restarts=[asdict(at) for at in progress.restarts],
    )


def _empty(directory: Path) -> None:
    """An empty directory; what a crash left in it is gone."""
    for path in sorted(directory.rglob("*"), reverse=True) if directory.exists() else ():
        path.rmdir() if path.is_dir() else path.unlink()
    directory.mkdir(parents=True, exist_ok=True)
