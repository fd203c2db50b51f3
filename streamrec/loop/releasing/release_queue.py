"""Finished generations on their way out, in the background, so that training goes on.

One release at a time; a dependency that is unavailable is waited for. The steps of a release are
in ``loop.releasing.release``. The release service and its control log belong to the background
thread; nothing else may touch them.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

from streamrec.errors import GenerationRefused, RegistryConflict, Unavailable, UserError
from streamrec.loop.releasing.release import Outcome, ReleaseReport, ReleaseService
from streamrec.loop.training.trial import Candidate
from streamrec.ports import RegistryStore, Scorer, Sealed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PendingRelease:
    """A sealed directory and what is to happen to it."""

    sealed: Sealed
    directory: Path
    candidate: Candidate
    reason: str  # of the decision, for people
    accepted: bool
    traceparent: str = ""

    @property
    def generation(self) -> str:
        return self.sealed.generation

    @property
    def scorer(self) -> Scorer:
        return self.candidate.scorer


@dataclass(frozen=True, slots=True)
class Released:
    """How it ended. ``outcome`` is None for a rejected candidate that was filed away."""

    pending: PendingRelease
    outcome: Outcome | None
    reason: str
    report: ReleaseReport | None = None

    @property
    def generation(self) -> str:
        return self.pending.generation

    @property
    def candidate(self) -> Candidate:
        return self.pending.candidate


class ReleaseQueue:
    """Releases accepted generations and files rejected ones, one after the other."""

    def __init__(
        self,
        service: ReleaseService,
        store: RegistryStore,
        executor: Executor,
        stop: threading.Event | None = None,
    ) -> None:
        self._service = service
        self._store = store
        self._executor = executor
        self._stop = stop or threading.Event()
        self._running: Future[Released | None] | None = None

    @property
    def busy(self) -> bool:
        return self._running is not None

    def submit(self, pending: PendingRelease) -> None:
        """Start a release; only when not ``busy``."""
        self._running = self._executor.submit(self._with_retries, pending)

    def finished(self) -> Released | None:
        """What became of the release, once, when it is over."""
        if self._running is None or not self._running.done():
            return None
        running, self._running = self._running, None
        return running.result()

    def recover(self) -> None:
        """Before the first release: withdraw what a trainer before us left out as canary."""
        self._executor.submit(self._withdraw, "the trainer that watched it is gone")

    def stop(self) -> None:
        """Wait no longer for what is unavailable; the next start makes another candidate."""
        self._stop.set()

    def _with_retries(self, pending: PendingRelease) -> Released | None:
        """Release or file; try again while a dependency is unavailable. None: told to stop."""
        step: Callable[[PendingRelease], Released] = (
            self._release if pending.accepted else self._file
        )
        generation = pending.generation
        while not self._stop.is_set():
            try:
                released = step(pending)
            except (Unavailable, RegistryConflict) as error:
                log.warning("%s waits: %s", generation, error)
                self._stop.wait(getattr(error, "retry_after_s", 1.0))
            except (GenerationRefused, UserError) as error:
                log.exception("%s is not released", generation)
                return Released(pending, Outcome.REFUSED, str(error))
            else:
                shutil.rmtree(pending.directory, ignore_errors=True)
                return released
        self._withdraw("the trainer that watched it was stopped", tries=1)
        return None

    def _withdraw(self, why: str, tries: int = 0) -> None:
        """A canary without a watch answers nobody. ``tries``: 0 for as long as it takes."""
        tried = 0
        while not tries or tried < tries:
            tried += 1
            try:
                return self._service.recover(why)
            except (Unavailable, RegistryConflict) as error:
                log.warning("whether a canary is out is not known: %s", error)
                if self._stop.wait(getattr(error, "retry_after_s", 1.0)):
                    return None
        return None

    def _release(self, pending: PendingRelease) -> Released:
        sealed, epoch = pending.sealed, pending.candidate.epoch
        report = self._service.publish(
            sealed.generation,
            pending.directory,
            pending.reason,
            sealed.digest,
            epoch,
            traceparent=pending.traceparent,
        )
        return Released(pending, report.outcome, report.reason, report)

    def _file(self, pending: PendingRelease) -> Released:
        sealed = pending.sealed
        self._store.put(sealed.generation, pending.directory)
        self._service.reject(sealed.generation, pending.reason, sealed.digest)
        return Released(pending, None, pending.reason)
