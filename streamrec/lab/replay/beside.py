"""Races in processes of their own, beside the one that is run here.

What races is the same wherever it races: each walks the whole stream, with a catalogue and
statistics of its own. Knows processes, what is sent to them and what comes back; of what races
only that it is a ``Race``. A process computes in one thread: they are several.

A process ends with its parent, and leaves Ctrl-C to it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import GroupBroken
from streamrec.infra.processes.parent_death import die_with_parent
from streamrec.lab.baselines.statistics import WEIGHTS
from streamrec.lab.replay.contest import RaceRecord
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.replay import Replay, ReplayProgress
from streamrec.lab.replay.rivals import MadeVectors, Race, strongest_statistics

TOLD_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Raced:
    """What came of a race; ``statistics``: by baseline, the feature it was found to read."""

    records: Mapping[str, RaceRecord]
    statistics: Mapping[str, str]


class Beside:
    """Running races. Close it: what has not ended then is ended."""

    def __init__(self, races: Sequence[Race]) -> None:
        """Starts them."""
        context = multiprocessing.get_context("spawn")
        self._scratch = TemporaryDirectory(prefix="streamrec-replay-")
        self._running: dict[Connection, SpawnProcess] = {}
        self._wants: list[Connection] = []
        self._events: dict[Connection, int] = {}
        self._raced: list[Raced] = []
        for race in races:
            ours, theirs = context.Pipe()
            process = context.Process(target=_run, args=(theirs, os.getpid()), daemon=True)
            process.start()
            theirs.close()
            ours.send(race)
            self._running[ours], self._events[ours] = process, 0
            if race.wants_vectors:
                self._wants.append(ours)

    def send_vectors(self, made: MadeVectors) -> None:
        """To those that want them. By a file: they may be busy, and a pipe holds little."""
        if self._wants:
            path = Path(self._scratch.name, "vectors.npz")
            texts = np.array(json.dumps(made.texts))  # as text: nothing is unpickled
            np.savez(path, items_ND=made.items_ND, texts=texts, texts_TD=made.texts_TD)
            for connection in self._wants:
                connection.send(path)

    @property
    def processes(self) -> list[SpawnProcess]:
        """Those that have not ended."""
        return list(self._running.values())

    @property
    def events(self) -> int | None:
        """How many all of them have been through; None: nobody races."""
        self._hear(0.0)
        return min(self._events.values(), default=None)

    def finish(self, on_events: Callable[[int], None]) -> list[Raced]:
        """Wait for them. ``on_events``: as ``events``, now and then.

        Raises GroupBroken when one has died, and what one of them raised.
        """
        while self._running:
            self._hear(TOLD_EVERY_S)
            on_events(min(self._events.values()))
        return self._raced

    def close(self) -> None:
        for process in self._running.values():
            process.terminate()
        for connection, process in self._running.items():
            process.join()
            connection.close()
        self._running.clear()
        self._scratch.cleanup()

    def _hear(self, patience_s: float) -> None:
        for connection in wait(list(self._running), patience_s):
            assert isinstance(connection, Connection)  # noqa: S101 - we gave no others
            self._take(connection)

    def _take(self, connection: Connection) -> None:
        try:
            told = connection.recv()
        except (EOFError, OSError):
            process = self._running[connection]
            process.join()
            raise GroupBroken(
                f"a baseline's process has ended ({process.exitcode}): out of memory?"
            ) from None
        if isinstance(told, Exception):
            raise told
        if isinstance(told, Raced):
            self._raced.append(told)
            self._running.pop(connection).join()
        else:
            self._events[connection] = told


@contextmanager
def beside(races: Sequence[Race]) -> Iterator[Beside]:
    """They run as long as the block, at most."""
    running = Beside(races)
    try:
        yield running
    finally:
        running.close()


def packed(names: Sequence[str], processes: int) -> list[tuple[str, ...]]:
    """``names`` dealt to so many at most: the statistics, which cost little, stay together."""
    cheap = tuple(name for name in names if name in WEIGHTS)
    groups = [cheap] * bool(cheap) + [(name,) for name in names if name not in WEIGHTS]
    dealt: list[tuple[str, ...]] = [() for _ in range(min(processes, len(groups)))]
    for place, group in enumerate(groups):
        dealt[place % len(dealt)] += group
    return dealt


def _run(connection: Connection, parent: int) -> None:
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        connection.send(_raced(connection.recv(), connection))
    except Exception as error:  # told where somebody reads it
        error.add_note("".join(traceback.format_exception(error)))
        connection.send(error)


def _raced(race: Race, connection: Connection) -> Raced:
    catalogue = Catalogue()
    catalogue.put(race.items)
    stream, options = RecordedStream(race.items, race.events), race.options
    statistics: dict[str, str] = {}
    if race.wants_statistics:
        statistics = strongest_statistics(stream, catalogue, options, race.until)
    made = _received(connection.recv()) if race.wants_vectors else None
    rivals = {n: race.rival(n, catalogue, statistics, made) for n in race.names}
    first, *_ = rivals
    main, others = rivals[first], {name: r for name, r in rivals.items() if name != first}
    played = Replay(stream, catalogue, main, options, others).play(_teller(connection))
    return Raced({n: c.record for n, c in zip([first, *others], played, strict=True)}, statistics)


def _received(path: Path) -> MadeVectors:
    with np.load(path) as found:
        texts = json.loads(str(found["texts"]))
        return MadeVectors(found["items_ND"], texts, found["texts_TD"])


def _teller(connection: Connection) -> Callable[[ReplayProgress], None]:
    due = time.monotonic()

    def tell(at: ReplayProgress) -> None:
        nonlocal due
        if time.monotonic() >= due:
            connection.send(at.events)
            due = time.monotonic() + TOLD_EVERY_S

    return tell
