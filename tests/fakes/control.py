"""The control log in memory: a list that several ``FakeControlLog`` views read and write."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from streamrec.core.release import registry
from streamrec.core.release.registry import Action, ControlRecord, RegistryState
from streamrec.errors import RegistryConflict, Unavailable


class SharedLog:
    """What the broker holds. ``down`` makes every view raise Unavailable."""

    def __init__(self) -> None:
        self.entries: list[ControlRecord] = []
        self.news = threading.Condition()
        self.down = False

    def write(self, record: ControlRecord) -> int:
        with self.news:
            self.entries.append(record)
            self.news.notify_all()
            return len(self.entries) - 1

    def reader(self, observe: Callable[[ControlRecord], object] = lambda _: None) -> FakeControlLog:
        """``observe`` is told every accepted record, in order."""
        return FakeControlLog(self, observe)


class FakeControlLog:
    def __init__(
        self, shared: SharedLog, observe: Callable[[ControlRecord], object] = lambda _: None
    ) -> None:
        self.shared = shared
        self._observe = observe
        self._position = 0
        self._record: ControlRecord | None = None

    def latest(self) -> ControlRecord | None:
        self._read()
        return self._record

    def poll(self, timeout_s: float) -> ControlRecord | None:
        before = self._record
        self._reachable()
        with self.shared.news:
            self.shared.news.wait_for(
                lambda: len(self.shared.entries) > self._position, timeout=timeout_s
            )
        self._read()
        return self._record if self._record is not before else None

    def append(self, record: ControlRecord) -> None:
        self._reachable()
        offset = self.shared.write(record)
        if offset in self._read():
            return
        while self._ends_ignored:
            state = registry.repair(self._state)
            self.shared.write(replace(record, action=Action.REPAIR, state=state))
            self._read()
        raise RegistryConflict(record.state.revision - 1, self._state.revision)

    def records(self) -> list[ControlRecord]:
        self._reachable()
        self._position, self._record = 0, None
        return [self.shared.entries[offset] for offset in self._read()]

    @property
    def _state(self) -> RegistryState:
        return self._record.state if self._record else RegistryState()

    def _read(self) -> list[int]:
        self._reachable()
        accepted = []
        while self._position < len(self.shared.entries):
            record = self.shared.entries[self._position]
            self._ends_ignored = not registry.accepts(self._state, record)
            if not self._ends_ignored:
                self._record = record
                self._observe(record)
                accepted.append(self._position)
            self._position += 1
        return accepted

    def _reachable(self) -> None:
        if self.shared.down:
            raise Unavailable("the control log is away", 0.01)
