"""Fuzzed inputs among good neighbours, through one consumer, and the count of what went wrong."""

from __future__ import annotations

import random
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.consumers import Consumer
from tests.fuzz.mutation import mutated

CHUNK = 50
NEIGHBOURS = 10


@dataclass
class Report:
    consumer: str
    inputs: int = 0
    handled: int = 0  # fuzzed inputs that were still good enough
    refused: int = 0  # with a reason
    neighbours: int = 0
    crashes: dict[str, bytes] = field(default_factory=dict)  # what was raised -> an input
    crashed: int = 0  # inputs that raised
    lost: list[int] = field(default_factory=list)  # neighbours that were not handled
    unexplained: list[bytes] = field(default_factory=list)  # neither handled nor refused

    @property
    def good(self) -> bool:
        return not (self.crashed or self.lost or self.unexplained)


def campaign(
    make: Callable[[Path], Consumer], inputs: int, seed: int, within: Path | None = None
) -> Report:
    """Feed ``inputs`` fuzzed inputs in chunks, ``NEIGHBOURS`` good ones among each.

    ``within``: where its files go.
    """
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=within) as scratch:
        lives = iter(range(10**9))

        def new() -> Consumer:
            """A consumer that remembers nothing, as after a crash."""
            place = Path(scratch) / str(next(lives))
            place.mkdir()
            return make(place)

        consumer = new()
        report = Report(consumer.name)
        corpus, number = consumer.corpus(), 0
        while report.inputs < inputs:
            count = min(CHUNK, inputs - report.inputs)
            fuzzed = [mutated(rng, corpus, consumer.topic) for _ in range(count)]
            chunk: list[tuple[bytes, int | None]] = [(data, None) for data in fuzzed]
            for _ in range(NEIGHBOURS):  # their numbers rise with their places
                chunk.insert(rng.randrange(len(chunk) + 1), (b"", -1))
            chunk, number = _numbered(consumer, chunk, number)
            report.inputs += count
            report.neighbours += NEIGHBOURS
            try:
                judge(report, consumer, chunk)
            except Exception:
                _blame(report, new, chunk)
                consumer = new()
    return report


def _numbered(
    consumer: Consumer, chunk: list[tuple[bytes, int | None]], number: int
) -> tuple[list[tuple[bytes, int | None]], int]:
    found: list[tuple[bytes, int | None]] = []
    for data, neighbour in chunk:
        if neighbour is None:
            found.append((data, None))
        else:
            found.append((consumer.neighbour(number), number))
            number += 1
    return found, number


def judge(report: Report, consumer: Consumer, chunk: list[tuple[bytes, int | None]]) -> None:
    neighbours = {place: n for place, (_, n) in enumerate(chunk) if n is not None}
    verdict = consumer.feed([data for data, _ in chunk], neighbours)
    for place, (data, neighbour) in enumerate(chunk):
        if neighbour is not None:
            if place not in verdict.handled:
                report.lost.append(neighbour)
        elif verdict.refused.get(place):
            report.refused += 1
        elif place in verdict.handled:
            report.handled += 1
        else:
            report.unexplained.append(data)


def _blame(
    report: Report, new: Callable[[], Consumer], chunk: list[tuple[bytes, int | None]]
) -> None:
    """Which of the chunk raise by themselves; all of it when none does."""
    before = report.crashed
    for data, _ in chunk:
        try:
            new().feed([data], {})
        except Exception:
            report.crashed += 1
            report.crashes.setdefault(_where(), data)
    if report.crashed == before:
        report.crashed += 1
        report.crashes.setdefault("only together", b"".join(data for data, _ in chunk)[:2_000])


def _where() -> str:
    lines = traceback.format_exc().strip().splitlines()
    place = next((line.strip() for line in reversed(lines) if line.strip().startswith("File")), "")
    return f"{lines[-1]} ({place})"
