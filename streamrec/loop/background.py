"""A thread that repeats one step, and several of them for the length of a block.

Knows that a dependency that is away is waited for, aloud once, and that anything else
unforeseen ends the worker. Does not know what the step does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamrec.errors import Unavailable

log = logging.getLogger(__name__)

JOIN_S = 5.0
"""How long the end of a thread's current step is waited for."""


class Background:
    """Calls ``step`` every ``interval_s``, or at once after ``wake``, until ``stop`` is set.

    ``error`` holds what ended it, if it did not end because it was told to; ``stop`` is set
    then, so that the worker ends too and is started afresh.
    """

    def __init__(
        self, name: str, step: Callable[[], object], interval_s: float, stop: threading.Event
    ) -> None:
        self._name = name
        self._step = step
        self._interval_s = interval_s
        self._stop = stop
        self._wake = threading.Event()
        self._away = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.error: Exception | None = None

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Do the next step now. Any thread may call this."""
        self._wake.set()

    def join(self, timeout_s: float = JOIN_S) -> None:
        """Wait for the current step to end; call after ``stop`` is set."""
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._wake.wait(self._once())
                self._wake.clear()
        except Exception as error:  # the thread's one boundary: the worker must not live on
            log.exception("%s failed", self._name)
            self.error = error
            self._stop.set()

    def _once(self) -> float:
        """One step; seconds until the next."""
        try:
            self._step()
        except Unavailable as error:
            if not self._away:
                log.warning("%s: %s; trying until it is back", self._name, error)
            self._away = True
            return error.retry_after_s
        if self._away:
            log.info("%s: back", self._name)
        self._away = False
        return self._interval_s


@contextmanager
def running(stop: threading.Event, *threads: Background) -> Iterator[None]:
    """Threads that run as long as the block; ``stop`` is set at its end, however it ends.

    Raises what ended one of them early, unless the block has raised itself.
    """
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for thread in threads:
        if thread.error is not None:
            raise thread.error
