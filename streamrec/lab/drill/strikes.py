"""Whom to kill and when, and how long each took to be at work again.

Knows a schedule by seed, and beats.

*At work again* is what a worker says of itself: a beat of a process younger than the kill
that has folded events, answered, or learned. Beats come about once a second, so a time is
up to a second too long, never too short. After a server was killed, everybody must have
worked again.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streamrec.ports import WorkerStatus

SERVER_EVERY = 20
"""One strike in so many hits a server, in turn; each server is hit at least once."""
WHILE_DOWN = 0.1
"""Share of the strikes that hit a worker that is not back yet, if there is one."""

WORK = {
    "features": ("events_applied", "items_applied"),
    "serving": ("published", "coalesced", "skipped"),
    "trainer": ("examples", "seen_again"),
}
"""The gauges that grow when a worker of a role works."""


class Strike(NamedTuple):
    at_s: float
    server: str | None  # None: a worker
    while_down: bool = False  # it may hit a worker that is not back yet


def schedule(seed: int, seconds: float, kills: int, servers: Sequence[str]) -> list[Strike]:
    """``kills`` moments, spread by chance; which of them hit which server."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, no secret
    moments = sorted(rng.uniform(0, seconds) for _ in range(kills))
    count = max(len(servers), kills // SERVER_EVERY) if kills > len(servers) > 0 else 0
    chosen = {(n + 1) * kills // (count + 1): servers[n % len(servers)] for n in range(count)}
    return [
        Strike(at_s, chosen.get(n), rng.random() < WHILE_DOWN) for n, at_s in enumerate(moments)
    ]


def choose(
    strike: Strike, rng: random.Random, running: Iterable[str], down: Iterable[str]
) -> str | None:
    """A worker to kill, by chance; None while nobody suits."""
    up, weak = sorted(set(running) - set(down)), sorted(set(running) & set(down))
    if strike.while_down and weak:
        return rng.choice(weak)
    return rng.choice(up) if up else None


class Standing(NamedTuple):
    """A worker's process and what it had done."""

    started_at_ms: int
    work: float


@dataclass(slots=True)
class Kill:
    """One kill.

    ``waiting``: who must work again, and what it had done by then; None until its first beat
    after ``ready_ms``, when what was killed was there again.
    """

    name: str
    at_ms: int
    waiting: dict[str, Standing | None]
    ready_ms: int = 0
    back_ms: int | None = None
    again: bool = False  # killed again before it was back

    @property
    def recovery_s(self) -> float | None:
        return None if self.back_ms is None else (self.back_ms - self.at_ms) / 1000


@dataclass(slots=True)
class Recoveries:
    """All kills so far."""

    kills: list[Kill] = field(default_factory=list)

    @property
    def open(self) -> list[Kill]:
        return [kill for kill in self.kills if kill.back_ms is None and not kill.again]

    @property
    def down(self) -> set[str]:
        """Workers that are not back yet."""
        return {name for kill in self.open for name in kill.waiting}

    def worker_killed(self, name: str, at_ms: int) -> None:
        for kill in self.open:
            kill.again |= kill.name == name
        self.kills.append(Kill(name, at_ms, {name: Standing(at_ms, 0.0)}))

    def server_killed(self, name: str, at_ms: int, ready_ms: int, workers: Iterable[str]) -> None:
        """A server was killed, and answers since ``ready_ms``: all ``workers`` must work again."""
        self.kills.append(Kill(name, at_ms, dict.fromkeys(workers), ready_ms))

    def observe(self, workers: Iterable[WorkerStatus]) -> list[Kill]:
        """Take in beats; the kills that are now made good."""
        statuses = {worker.worker_id: worker for worker in workers}
        done = []
        for kill in self.open:
            for name in list(kill.waiting):
                if name in statuses:
                    _hear(kill, name, statuses[name])
            if kill.back_ms is not None:
                done.append(kill)
        return done


def _hear(kill: Kill, name: str, status: WorkerStatus) -> None:
    before = kill.waiting[name]
    if before is None and status.beat_at_ms > kill.ready_ms:
        kill.waiting[name] = Standing(status.started_at_ms, work_of(status))
    elif before is not None and _worked(status, before):
        del kill.waiting[name]
        kill.back_ms = status.beat_at_ms if not kill.waiting else None


def work_of(status: WorkerStatus) -> float:
    return sum(status.gauges.get(gauge, 0.0) for gauge in WORK[status.role])


def _worked(status: WorkerStatus, before: Standing) -> bool:
    work = work_of(status)
    if status.started_at_ms > before.started_at_ms:
        return work > 0
    return status.started_at_ms == before.started_at_ms and work > before.work
