"""People around a loop, in a thread of their own, while a test looks at something else."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

from streamrec.core.events import Recommendation


class Public(ABC):
    """Lives from ``with`` to its end. ``lists``: what they have been shown so far."""

    def __init__(self) -> None:
        self.lists: list[Recommendation] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live)

    def __enter__(self) -> Public:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @abstractmethod
    def _live(self) -> None:
        """Until ``_stop`` is set."""
