"""The trainer: learn from mini-batches, judge candidates, release them, never stop.

Knows the order of things. Does not know tensors (``Learner``), Kafka (``BatchFeed``), what makes
an example new (``core.training.watermarks``), a candidate good (``core.release.gate``) or a
generation complete (``stages.training.dispatch``).

What the learner knows at an offset of ``training-batches`` is a function of the batches
before it: each is learned by one call, in log order. Candidates, trials, checkpoints and
crashes do not change it. A round:

1. Confirm that this process may train (the lease).
2. Follow the control log: another champion, a pin. A trial starts again against it. A newer
   epoch of relearning: back to that generation's snapshot, at once a checkpoint, and on
   from there; what is on trial or on its way comes from what is void now.
3. Take in how a release in the background ended.
4. Take in batches, in log order, with the catalogue as it is by now. For each, unless told
   to stop:
   a. refuse another feature set, or what cannot be read: dead letter, a hole in the ledger;
   b. drop examples that were trained before, or are quarantined;
   c. while a candidate is on trial, score the fresh ones with it and the champion;
   d. forget who asked for it, and learn them;
   e. move ledger and position on;
   f. decide the trial when it has seen enough: release, or file with the reasons;
   g. freeze the next candidate, with a snapshot to go back to, when it is due and nothing
      is on trial or on its way.
5. Look at 3, 4f and 4g again: time alone can make them due.
6. Write a checkpoint when it is due.

A crash at any point resumes from the newest checkpoint, where learner, ledger and position
belong together: nothing is lost or learned twice (tests/unit/stages/test_train_crashes.py). What
is decided outside survives by itself: the champion is in the control log, generations are
in the store.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from streamrec.core.examples import Example, TrainingBatch, forgetting
from streamrec.core.release import gate
from streamrec.core.release.gate import Reject
from streamrec.core.training import watermarks
from streamrec.core.training.watermarks import Ledger
from streamrec.errors import GenerationRefused, Refused
from streamrec.ports import DeliveredBatch, LearnReport, Provenance
from streamrec.stages.releasing.release import Outcome
from streamrec.stages.releasing.release_line import Released
from streamrec.stages.training.admission import Admitted, admit
from streamrec.stages.training.dispatch import Dispatch, provenance
from streamrec.stages.training.save_points import SavePoints
from streamrec.stages.training.training_parts import Parts, Rhythm
from streamrec.stages.training.training_progress import Arrival, Counts, Progress
from streamrec.stages.training.trial import Candidate, Trial

log = logging.getLogger(__name__)

UNTRAINED = "untrained: the first champion"
BATCHES_AT_ONCE = 16
"""Batches of one round: more would keep steps 1 to 3 waiting."""


class Trainer:
    """One trainer, from ``start`` through ``round`` after ``round`` to ``checkpoint``."""

    def __init__(self, parts: Parts, rhythm: Rhythm) -> None:
        self.counts = Counts()
        self.progress = Progress()
        self._parts = parts
        self._dispatch = Dispatch(
            parts.learner, parts.generations, parts.store, parts.champions, parts.line, parts.work
        )
        self._points = SavePoints(
            parts.learner, parts.checkpoints, parts.snapshots, rhythm.snapshots
        )
        self._rhythm = rhythm
        self._trial: Trial | None = None
        self._pending: deque[DeliveredBatch] = deque()
        self._in_place = False  # whether the feed stands where progress says
        self._candidate_ms = self._checkpoint_ms = 0

    # -- starting ---------------------------------------------------------------------

    def start(self) -> None:
        """Resume from the newest checkpoint, or begin untrained.

        1. Recall the catalogue of the newest checkpoint; mirror what is new. Read the champion
           from the control log; withdraw a canary that a trainer before us left out.
        2. Without one, send the untrained generation out as the first: start from strength.
           The learner still is untrained here, whatever the checkpoint holds.
        3. Load the checkpoint; go back further if the control log says so; find its place in
           the feed.
        4. Keep a checkpoint from now on: a diverging learner has somewhere to go back to.

        Raises:
            Unavailable: try again; nothing was learned.
            GenerationRefused: the checkpoint does not fit this learner.
            UserError: the topic of mini-batches was made anew.
        """
        parts = self._parts
        self._candidate_ms = self._checkpoint_ms = parts.clock.now_ms()
        self._points.sweep()
        saved = self._points.newest()
        if saved is not None:
            parts.learner.recall(saved.directory)
        parts.learner.know(parts.mirror())
        parts.champions.start()
        parts.line.recover()
        first = None
        if parts.champions.champion.generation is None and not parts.line.busy:
            first = self._send_first()
        if saved is not None:
            self.progress = self._points.resume(saved)
        sequence = max(self.progress.sequence, last_sequence(parts.store.generations()) + 1)
        self.progress = replace(self.progress, sequence=sequence)
        self._pending.clear()
        self._in_place = False
        log.info(
            "%s at mini-batch %d with %d examples trained; champion: %s",
            "resuming" if saved else "beginning untrained",
            self.progress.next_batch,
            self.progress.ledger.trained,
            parts.champions.champion.generation or "none yet",
        )
        if saved is None:
            self.checkpoint()
        self._keep_first(first or parts.champions.champion.generation)
        self._relearn()
        self._find_place()

    def _send_first(self) -> str:
        scorer = self._parts.learner.snapshot()
        first = Candidate(0, scorer, Ledger(), 0, self._parts.clock.now_ms())
        directory = self._dispatch.write(first)
        parent = self._parts.start_from
        born = Provenance(0, parent, {}, {}, (0, 0), 0, None, first.made_at_ms)
        sealed = self._dispatch.generations.seal(directory, born)
        reason = f"the weights of {parent}: the first champion" if parent else UNTRAINED
        self._dispatch.send(first, directory, sealed, reason, accepted=True)
        return sealed.generation

    def _keep_first(self, generation: str | None) -> None:
        """A learner that has learned nothing is where the first generation comes from."""
        if generation is None or last_sequence([generation]) > 0:
            return
        if self.progress.next_batch == 0 and generation not in self.snapshots:
            self._points.keep_newest(generation)

    def _find_place(self) -> None:
        """Raises Unavailable, UserError."""
        if not self._in_place:
            self._parts.feed.seek(self.progress.next_batch)
            self._in_place = True

    # -- a round ----------------------------------------------------------------------

    def round(self, timeout_s: float) -> int:
        """One round (see the module); returns the number of examples learned.

        Raises:
            Unavailable: a dependency is away; call again later, nothing is lost.
            LeaseLost, UserError: this process must not go on.
        """
        self._parts.may_train()
        self._follow_champion()
        self._take_in_release()
        learned = self._take_in_batches(timeout_s)
        self._judge()
        if self._due(self._checkpoint_ms, self._rhythm.checkpoint_s):
            self.checkpoint()
        return learned

    def checkpoint(self) -> None:
        """Keep learner, ledger and position, together."""
        self._points.save(self.progress)
        self._checkpoint_ms = self._parts.clock.now_ms()

    @property
    def stage(self) -> str:
        """What the candidate, if any, is doing: for the log and the fleet."""
        if self._trial is not None:
            number, seen = self._trial.candidate.sequence, self._trial.examples
            return f"candidate {number} on trial, {seen} examples"
        return "releasing" if self._parts.line.busy else "learning"

    @property
    def snapshots(self) -> list[str]:
        """Generations that can be gone back to."""
        return self._points.generations()

    # -- steps 2 and 3 ----------------------------------------------------------------

    def _follow_champion(self) -> None:
        champions = self._parts.champions
        changed = champions.poll()
        self._relearn()
        if not changed:
            return
        log.info("champion is now %s", champions.champion.generation)
        if self._trial is not None:
            self._trial.restart(champions.champion)
            log.info("candidate %d is judged anew", self._trial.candidate.sequence)

    def _relearn(self) -> None:
        """Obey the newest epoch, once: the checkpoint that says so is the step that counts.

        It is the last one, so that a crash before it repeats whatever was not done.
        """
        state = self._parts.champions.state
        if state.epoch <= self.progress.epoch:
            return
        self._trial = None
        self._pending.clear()
        self._in_place = False
        self.progress = self._points.back(state, self.progress)
        self.counts.relearned += 1
        self._candidate_ms = self._parts.clock.now_ms()
        self._points.sweep()
        self._points.forget_after(state.relearn.generation if state.relearn else None)
        self.checkpoint()

    def _take_in_release(self) -> None:
        released = self._parts.line.finished()
        if released is None:
            return
        sealed, outcome = released.outgoing.sealed, released.outcome
        if released.outgoing.candidate.epoch < self.progress.epoch:
            log.warning("%s was learned before the learner went back: ignored", sealed.generation)
            return
        if outcome is Outcome.ACTIVATED:
            self.counts.activated += 1
            log.info("%s activated: %s", sealed.generation, released.reason)
        elif outcome is Outcome.HELD:
            self.counts.held += 1
            log.info("%s passed but is not activated: %s", sealed.generation, released.reason)
        elif outcome is Outcome.ABANDONED:
            self.counts.rejected += 1
            log.warning("%s abandoned as canary: %s", sealed.generation, released.reason)
        elif outcome is Outcome.REFUSED:
            self.counts.rejected += 1
            log.error("%s refused by the workers: %s", sealed.generation, released.reason)
        if outcome in (Outcome.ACTIVATED, Outcome.HELD):
            self._becomes_parent(released)
            self._follow_champion()

    def _becomes_parent(self, released: Released) -> None:
        """What the generation learned is accounted for; the next one owes what came after."""
        candidate = released.outgoing.candidate
        self.progress = replace(
            self.progress,
            ledger=watermarks.subtract(self.progress.ledger, candidate.ledger),
            parent=released.outgoing.sealed.generation,
            parent_batch=candidate.next_batch,
            parent_trained=candidate.ledger.trained,
            arrivals=tuple(
                arrival
                for arrival in self.progress.arrivals
                if arrival.next_batch >= candidate.next_batch
            ),
        )
        self.checkpoint()

    # -- step 4 -----------------------------------------------------------------------

    def _take_in_batches(self, timeout_s: float) -> int:
        self._find_place()
        if not self._pending:
            self._pending.extend(self._parts.feed.poll(timeout_s, BATCHES_AT_ONCE))
        if self._pending:  # after the poll: items are stored before examples name them
            self._mirror()
        before = self.counts.examples
        while self._pending and not self._parts.stopping():
            self._take_in(self._pending[0])  # it leaves only when it has been dealt with
            self._pending.popleft()
            self._judge()
        return self.counts.examples - before

    def _mirror(self) -> None:
        news = self._parts.learner.know(self._parts.mirror())
        if news:
            arrival = Arrival(self.progress.next_batch, tuple(news))
            self.progress = replace(self.progress, arrivals=(*self.progress.arrivals, arrival))

    def _take_in(self, delivered: DeliveredBatch) -> None:
        progress = self.progress
        taken = admit(delivered, progress.ledger, self._rhythm.feature_set, progress.quarantine)
        if taken.refused is not None:
            self._refuse(delivered, taken.refused)
        self._count_intake(delivered.batch, taken)
        fresh = taken.intake.fresh
        if fresh and not self._learn(fresh):
            self._diverged(delivered)
            return
        self.progress = replace(
            self.progress,
            ledger=taken.ledger,
            next_batch=delivered.offset + 1,
            waiting=self.progress.waiting + len(fresh),
        )

    def _refuse(self, delivered: DeliveredBatch, reason: Refused) -> None:
        self._parts.refuse(delivered, reason)
        self.counts.refused_batches += 1
        log.warning("mini-batch %d refused: %s", delivered.offset, reason)

    def _count_intake(self, batch: object, taken: Admitted) -> None:
        intake = taken.intake
        self.counts.seen_again += intake.seen_again
        self.counts.quarantined += intake.quarantined
        if intake.hole is None:
            return
        self.counts.lost_offsets += intake.hole.end - intake.hole.start
        if isinstance(batch, TrainingBatch) and taken.refused is None:
            log.error(
                "events %d to %d of partition %d never arrived as mini-batches: not trained",
                intake.hole.start,
                intake.hole.end - 1,
                batch.partition,
            )

    def _learn(self, fresh: Sequence[Example]) -> bool:
        """Forget whom to, score, then learn; whether all losses are finite."""
        kept, users = forgetting(fresh)
        for user_id in users:
            self.counts.forgotten += self._parts.learner.forget(user_id)
        if not kept:
            return True
        self._parts.observe(kept)
        if self._trial is not None:
            self._trial.watch(kept)
        report = self._parts.learner.learn(kept)
        if not all(map(math.isfinite, report.losses.values())):
            return False
        self._count(report)
        return True

    def _count(self, report: LearnReport) -> None:
        self.counts.examples += report.examples
        self.counts.steps += report.steps
        self.counts.encoder_steps += report.encoder_steps
        self.counts.limited += report.limited
        if report.losses:
            self.counts.losses = report.losses
            self._parts.scalars.write(
                self.progress.ledger.trained + report.examples,
                {f"loss/{name}": loss for name, loss in report.losses.items()},
            )
        self.progress = replace(self.progress, steps=self.progress.steps + report.steps)

    def _diverged(self, delivered: DeliveredBatch) -> None:
        """A loss is not a number: back to the checkpoint's weights, never again these batches.

        What was learned since the checkpoint is given up with it: it becomes a hole.
        """
        saved = self._points.newest()
        assert not isinstance(delivered.batch, Refused)  # noqa: S101 - it was learned from
        if saved is None:
            raise GenerationRefused("the learner diverged and no checkpoint can be read")
        self._parts.learner.load(saved.directory)
        before = Progress.from_record(saved.record)
        ledger, _ = self.progress.ledger.skip(delivered.batch)
        given_up = watermarks.give_up(ledger, before.ledger)
        lost = given_up.lost - self.progress.ledger.lost
        self.counts.diverged += 1
        self.counts.lost_offsets += lost
        self._trial = None
        self.progress = replace(
            self.progress, ledger=given_up, next_batch=delivered.offset + 1, steps=before.steps
        )
        log.error(
            "a loss of mini-batch %d is not a number: back to the weights of the last "
            "checkpoint; %d offsets since then are given up",
            delivered.offset,
            lost,
        )
        self.checkpoint()

    # -- steps 4f and 4g --------------------------------------------------------------

    def _judge(self) -> None:
        self._take_in_release()
        self._decide_trial()
        self._make_candidate()

    def _decide_trial(self) -> None:
        trial, rhythm = self._trial, self._rhythm
        now_ms = self._parts.clock.now_ms()
        if trial is None or not trial.due(now_ms, rhythm.gate_examples, rhythm.gate_s):
            return
        candidate = trial.candidate
        directory = self._dispatch.write(candidate)
        verdict = trial.verdict(rhythm.rules, self._dispatch.norms(directory))
        rejected = isinstance(verdict, Reject)
        origin = provenance(candidate, self.progress, gate.to_record(verdict))
        sealed = self._dispatch.generations.seal(directory, origin)
        self._settle_snapshot(candidate, None if rejected else sealed.generation)
        reason = gate.reason(verdict)
        log.info(
            "candidate %d %s: %s", candidate.sequence, "rejected" if rejected else "passes", reason
        )
        self._write_gate(verdict.report)
        self._trial = None
        self.counts.rejected += rejected
        self._dispatch.send(candidate, directory, sealed, reason, accepted=not rejected)

    def _settle_snapshot(self, candidate: Candidate, generation: str | None) -> None:
        """The candidate has passed as ``generation``, or failed."""
        if generation is None:
            self._points.failed(candidate.sequence)
        else:
            state = self._parts.champions.state
            self._points.passed(candidate.sequence, generation, {state.champion, state.previous})

    def _make_candidate(self) -> None:
        progress = self.progress
        idle = self._trial is None and not self._parts.line.busy
        enough = progress.waiting >= self._rhythm.release_examples
        late = progress.waiting > 0 and self._due(self._candidate_ms, self._rhythm.release_s)
        champion = self._parts.champions.champion
        if not idle or champion.generation is None or not (enough or late):
            return
        self._candidate_ms = self._parts.clock.now_ms()
        candidate = Candidate(
            progress.sequence,
            self._parts.learner.snapshot(),
            progress.ledger,
            progress.next_batch,
            self._candidate_ms,
            progress.epoch,
        )
        self._points.freeze(candidate.sequence, replace(progress, sequence=progress.sequence + 1))
        self.progress = replace(progress, sequence=progress.sequence + 1, waiting=0)
        self._checkpoint_ms = self._candidate_ms
        self._trial = Trial(candidate, champion)
        self.counts.candidates += 1
        log.info("candidate %d on trial against %s", candidate.sequence, champion.generation)

    def _write_gate(self, report: gate.GateReport) -> None:
        points = {f"gate/{name}": m.difference for name, m in report.metrics.items()}
        self._parts.scalars.write(self.progress.ledger.trained, points)

    def _due(self, since_ms: int, seconds: float) -> bool:
        return self._parts.clock.now_ms() - since_ms >= seconds * 1000


def last_sequence(generations: Sequence[str]) -> int:
    """The highest number among ids like g000012-1a2b3c4d; 0 when there is none."""
    numbers = [name[1:].split("-")[0] for name in generations if name.startswith("g")]
    return max((int(number) for number in numbers if number.isdigit()), default=0)
