"""The trainer: learn from mini-batches, judge candidates, release them, never stop.

How one mini-batch is learned is in ``loop.training.learn``, how a candidate is judged and sent
out in ``loop.training.candidates``.

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
belong together: nothing is lost or learned twice (tests/unit/loop/test_train_crashes.py). What
is decided outside survives by itself: the champion is in the control log, generations are
in the store.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace

from streamrec.core.release.manifest import last_sequence, sequence_of
from streamrec.errors import GenerationRefused, UserError
from streamrec.loop.training.candidates import Candidates
from streamrec.loop.training.dependencies import TrainerDependencies, TrainerSchedule
from streamrec.loop.training.generation_traces import GenerationTraces
from streamrec.loop.training.learn import Learning
from streamrec.loop.training.restart import after_change, after_loss, restarted
from streamrec.loop.training.save_points import SavePoints
from streamrec.loop.training.training_progress import Arrival, TrainingCounts, TrainingProgress
from streamrec.ports import Checkpoint, DeliveredBatch

log = logging.getLogger(__name__)

BATCHES_AT_ONCE = 16
"""Batches of one round: more would keep steps 1 to 3 waiting."""


class Trainer:
    """One trainer, from ``start`` through ``round`` after ``round`` to ``checkpoint``."""

    def __init__(self, parts: TrainerDependencies, schedule: TrainerSchedule) -> None:
        self.counts = TrainingCounts()
        self.progress = TrainingProgress()
        self.feed, self.champions = parts.feed, parts.champions
        self.clock, self.tracker = parts.clock, parts.tracker
        self.learner, self._mirror = parts.learner, parts.mirror
        self._store, self._queue = parts.store, parts.release_queue
        self._may_train, self._stopping = parts.may_train, parts.stopping
        self._schedule = schedule
        self._new_start = parts.new_start
        self._points = SavePoints(
            parts.learner,
            parts.checkpoints,
            parts.snapshots,
            parts.clock,
            parts.store,
            parts.new_start,
            schedule.snapshots,
        )
        self._traces = GenerationTraces(parts.tracer)
        self._learning = Learning(parts, self._points, self.counts)
        self._freshness = self._learning.freshness
        self.candidates = Candidates(
            parts,
            schedule,
            self._points,
            self.counts,
            freshness=self._freshness,
            traces=self._traces,
        )
        self._pending: deque[DeliveredBatch] = deque()
        self._in_place = False  # whether the feed stands where progress says

    @property
    def stage(self) -> str:
        """What the candidate, if any, is doing: for the log and the fleet."""
        return self.candidates.stage

    @property
    def snapshots(self) -> list[str]:
        """Generations that can be gone back to."""
        return self._points.generations()

    @property
    def trained(self) -> int:
        """Examples that the ledger counts as learned."""
        ledger = self.progress.ledger
        return ledger.trained

    # -- starting ---------------------------------------------------------------------

    def start(self) -> None:
        """Resume from the newest checkpoint, or begin as ``loop.training.restart`` says.

        1. Restore the catalogue of the newest checkpoint; mirror what is new. Read the champion
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
        self.candidates.begin()
        saved = self._points.begin() or self._points.of_another_shape()
        first = self._find_champion(saved)
        how = self._resume(saved)
        if saved is None or how != "resuming":
            self.checkpoint()
        self._keep_restart()
        self._keep_first(first)
        self._relearn()
        self._find_place()
        log.info(
            "%s at mini-batch %d with %d examples trained; champion: %s",
            how,
            self.progress.next_batch,
            self.trained,
            self.champions.generation or "none yet",
        )

    def _find_champion(self, saved: Checkpoint | None) -> str | None:
        """Steps 1 and 2: the champion, or the generation on its way to be the first one."""
        if saved is not None:
            self.learner.restore_items(saved.directory)
        self.learner.add_items(self._mirror())
        self.champions.start()
        self._check_log(saved)
        self._queue.recover()
        champion = self.champions.generation
        if champion is None and not self._queue.busy:
            return self.candidates.send_first()
        return champion

    def _check_log(self, saved: Checkpoint | None) -> None:
        """Raises UserError where the control log does not know of what the checkpoint is."""
        parent = saved.record.get("parent") if saved is not None else None
        if parent and sequence_of(parent) > 0 and not self.champions.state.revision:
            raise UserError(
                f"the checkpoint goes on from {parent}, and the control log has no record: it was "
                "made anew, or is another installation's. Nothing was changed. Restore the topic, "
                f"or `streamrec adapters activate {parent}` where it is gone"
            )

    def _resume(self, saved: Checkpoint | None) -> str:
        """Step 3, in words."""
        self.progress, why = self._begun_from(saved)
        unused = last_sequence(self._store.generations()) + 1
        self.progress = replace(self.progress, sequence=max(self.progress.sequence, unused))
        if why:
            self.progress = restarted(self.progress, why)
        self._leave_place()
        return "going on" if why else "resuming" if saved else "beginning untrained"

    def _begun_from(self, saved: Checkpoint | None) -> tuple[TrainingProgress, str]:
        """Progress, and what was restarted and why, if anything was."""
        if saved is not None:
            changed = self._points.changed(saved.record)
            progress = self._points.resume(saved)
            return progress, after_change(changed, progress.next_batch) if changed else ""
        champion, begin_from = self.champions.generation, self._new_start.begin_from
        if champion is None or begin_from is None:
            return TrainingProgress(), ""
        try:
            progress = self._found_in_feed(after_loss(self._store, self.champions.state, champion))
            begin_from(self._store.get(champion))
        except GenerationRefused as error:
            log.error(  # noqa: TRY400 - said, not traced
                "there is no checkpoint here, and the champion cannot be gone on with: %s", error
            )
            return TrainingProgress(), ""
        return progress, f"there was no checkpoint: the weights of {champion}"

    def _found_in_feed(self, progress: TrainingProgress) -> TrainingProgress:
        """From the beginning of a topic that was made anew: the ledger says what is new in it."""
        try:
            self.feed.seek(progress.next_batch)
        except UserError as error:
            log.warning("mini-batches are read from their beginning: %s", error)
            return replace(progress, next_batch=0, parent_batch=0)
        return progress

    def _keep_restart(self) -> None:
        """What it was then has to be had by a repetition, and nothing has been learned since."""
        for restart in self.progress.restarts[-1:]:
            if restart.batch == self.progress.next_batch:
                self._points.keep_newest(restart.snapshot)

    def _keep_first(self, generation: str | None) -> None:
        """A learner that has learned nothing is where the first generation comes from."""
        if generation is None or sequence_of(generation) > 0:
            return
        if self.progress.next_batch == 0 and generation not in self.snapshots:
            self._points.keep_newest(generation)

    # -- a round ----------------------------------------------------------------------

    def round(self, timeout_s: float) -> int:
        """One round (see the module); returns the number of examples learned.

        Raises:
            Unavailable: a dependency is away; call again later, nothing is lost.
            LeaseLost, UserError: this process must not go on.
        """
        self._may_train()
        self._follow_champion()
        self._take_in_release()
        learned = self._take_in_batches(timeout_s)
        self._judge()
        if self._points.due(self._schedule.checkpoint_s):
            self.checkpoint()
        return learned

    def checkpoint(self) -> None:
        """Keep learner, ledger and position, together."""
        self._points.save(self.progress)

    # -- step 2 -----------------------------------------------------------------------

    def _follow_champion(self) -> None:
        champions = self.champions
        changed = champions.poll()
        self._relearn()
        if changed:
            log.info("champion is now %s", champions.generation)
            self.candidates.judge_anew(champions.champion)

    def _relearn(self) -> None:
        """Follow the newest epoch, once: the checkpoint that says so is the step that counts.

        It is the last one, so that a crash before it repeats whatever was not done.
        """
        state = self.champions.state
        if state.epoch <= self.progress.epoch:
            return
        self.candidates.begin()
        self._freshness.forget()
        self._leave_place()
        self.progress = self._points.back(state, self.progress)
        self.counts.relearned += 1
        self._points.sweep()
        self._points.forget_after(state.relearn.generation if state.relearn else None)
        self.checkpoint()
        self._keep_restart()

    # -- steps 3, 4f and 4g -----------------------------------------------------------

    def _judge(self) -> None:
        self._take_in_release()
        self.candidates.decide_due(self.progress)
        self.progress = self.candidates.freeze_due(self.progress)

    def _take_in_release(self) -> None:
        """What a generation has learned is accounted for at once, before another can be frozen."""
        progress = self.candidates.take_in_release(self.progress)
        if progress is not self.progress:
            self.progress = progress
            self.checkpoint()
            self._follow_champion()

    # -- step 4 -----------------------------------------------------------------------

    def _take_in_batches(self, timeout_s: float) -> int:
        self._find_place()
        if not self._pending:
            self._pending.extend(self.feed.poll(timeout_s, BATCHES_AT_ONCE))
        if self._pending:  # after the poll: items are stored before examples name them
            self._take_in_items()
        before = self.counts.examples
        while self._pending and not self._stopping():
            self._take_in(self._pending[0])  # it leaves only when it has been dealt with
            self._pending.popleft()
            self._judge()
        return self.counts.examples - before

    def _take_in(self, delivered: DeliveredBatch) -> None:
        with self._traces.learn(delivered):
            learned = self._learning.take_in(delivered, self.progress, self.candidates.watch)
        self.progress = learned.progress
        if learned.diverged:
            self.candidates.drop()
            self.checkpoint()

    def _take_in_items(self) -> None:
        new_items = self.learner.add_items(self._mirror())
        if new_items:
            arrival = Arrival(self.progress.next_batch, tuple(new_items))
            self.progress = replace(self.progress, arrivals=(*self.progress.arrivals, arrival))

    def _find_place(self) -> None:
        """Raises Unavailable, UserError."""
        if not self._in_place:
            self.feed.seek(self.progress.next_batch)
            self._in_place = True

    def _leave_place(self) -> None:
        self._pending.clear()
        self._in_place = False
