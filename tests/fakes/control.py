"""The control log in memory: a list that several ``FakeControlLog`` views read and write."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from streamrec.core.release import registry
from streamrec.core.release.registry import Action, ControlRecord, RegistryState
from streamrec.core.tasks import RANKING
from streamrec.errors import RegistryConflict, Unavailable


class SharedLog:
    """What the broker holds. ``down`` makes every view raise Unavailable.

    ``entries``: of all tasks; ``others``: the places of those that are not ranking's.
    """

    def __init__(self) -> None:
        self.entries: list[ControlRecord] = []
        self.others: dict[int, str] = {}
        self.news = threading.Condition()
        self.down = False

    def write(self, record: ControlRecord, task: str = RANKING) -> int:
        with self.news:
            if task != RANKING:
                self.others[len(self.entries)] = task
            self.entries.append(record)
            self.news.notify_all()
            return len(self.entries) - 1

    def reader(
        self,
        observe: Callable[[ControlRecord], object] = lambda _: None,
        task: str = RANKING,
    ) -> FakeControlLog:
        """``observe`` is told every accepted record of the task, in order."""
        return FakeControlLog(self, observe, task)

    def task_of(self, offset: int) -> str:
        return self.others.get(offset, RANKING)


class FakeControlLog:
    def __init__(
        self,
        shared: SharedLog,
        observe: Callable[[ControlRecord], object] = lambda _: None,
        task: str = RANKING,
    ) -> None:
        self.shared = shared
        self._task = task
        self._ends_ignored = False
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

    def prepare(self) -> None:
        self._reachable()

    def append(self, record: ControlRecord) -> None:
        self._reachable()
        offset = self.shared.write(record, self._task)
        if offset in self._read():
            return
        while self._ends_ignored:
            state = registry.repair(self._state)
            self.shared.write(replace(record, action=Action.REPAIR, state=state), self._task)
            self._read()
        raise RegistryConflict(record.state.revision - 1, self._state.revision)

    def records(self) -> list[ControlRecord]:
        self._reachable()
        self._position, self._record = 0, None
        return [self.shared.entries[offset] for offset in self._read()]

    def tasks(self) -> list[str]:
        self._reachable()
        return sorted({self.shared.task_of(at) for at in range(len(self.shared.entries))})

    @property
    def _state(self) -> RegistryState:
        return self._record.state if self._record else RegistryState()

    def _read(self) -> list[int]:
        self._reachable()
        accepted = []
        while self._position < len(self.shared.entries):
            if self.shared.task_of(self._position) != self._task:
                self._position += 1
                continue
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
