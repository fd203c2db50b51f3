"""The swap drill in its order: how long does the fleet take to change its mind?

1. Start servers and workers on a fresh state directory, with a catalogue of many items.
2. Send a known stream until the trainer has released two generations.
3. While the stream goes on, roll the champion back and bring it forward again, many times,
   by the code of ``streamrec adapters``. Each time is from the control record to the last
   serving worker's word that it has flipped.
4. Look through the logs for a list that no generation of that moment could have made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from streamrec.apps import clients
from streamrec.apps.local_loop import LocalLoop, ProcessCounts
from streamrec.core import topics
from streamrec.core.events import Item
from streamrec.core.measures.percentiles import percentiles
from streamrec.core.release.registry import ControlRecord
from streamrec.infra.wire.kafka_topics import partition_counts
from streamrec.lab.demo.ready import Readiness
from streamrec.lab.demo.rollback import insist
from streamrec.lab.demo.swaps import SwapPauses
from streamrec.lab.demo.waiting import insist_on
from streamrec.lab.drill import evidence, stream
from streamrec.lab.drill.own_loop import drill_loop, drill_settings
from streamrec.lab.drill.report import machine
from streamrec.lab.drill.sender import Sender
from streamrec.lab.drill.stream import Message
from streamrec.lab.measures import drill_check
from streamrec.loop.releasing.fleet_watch import SwapReport
from streamrec.loop.releasing.release import ReleaseService
from streamrec.ports import Codec
from streamrec.settings import Settings

READY_WITHIN_S = 600.0
RELEASED_WITHIN_S = 300.0
BETWEEN_S = 0.5
LOOK_S = 0.2
SAY_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class SwapOptions:
    """What can be chosen on the command line. ``swaps``: flips, half of them rollbacks."""

    swaps: int = 100
    items: int = 10_000
    rate: float = 40.0
    seed: int = 0
    processes: ProcessCounts = ProcessCounts(features=1, trainer=1, serving=2)


@dataclass(slots=True)
class SwapObservations:
    """What the flips took."""

    back_ms: list[float] = field(default_factory=list)
    forward_ms: list[float] = field(default_factory=list)
    unconfirmed: int = 0
    pauses_ms: list[float] = field(default_factory=list)

    def note(self, swap: SwapReport, times: list[float]) -> None:
        if swap.complete:
            times.append(swap.took_ms)
        else:
            self.unconfirmed += 1


def run_swap_drill(
    given: Settings, options: SwapOptions, say: Callable[[str], None]
) -> dict[str, Any]:
    """Do it all; the report.

    Raises UserError or Unavailable when it cannot start.
    """
    settings = drill_settings(given)
    with drill_loop(given, settings, options.processes, say) as (loop, stack):
        return SwapDrill(loop, options, say, stack).perform()


class SwapDrill:
    """One drill on a loop that has been started."""

    def __init__(
        self, loop: LocalLoop, options: SwapOptions, say: Callable[[str], None], stack: ExitStack
    ) -> None:
        """``stack`` closes what the drill looks with, before the loop is stopped."""
        self._loop = loop
        self._settings = loop.settings
        self._options = options
        self._say = say
        redis = stack.enter_context(clients.redis(self._settings))
        self._fleet = clients.fleet(self._settings, redis)
        self._pauses = SwapPauses()
        self._seen = SwapObservations()

    def perform(self) -> dict[str, Any]:
        """All of it; the report."""
        codec = clients.codec(self._settings)
        events = partition_counts(self._settings.kafka)[topics.EVENTS]
        publisher = clients.publisher(self._settings, "streamrec-drill")
        known = stream.DrillStream(self._options.seed, codec, events)
        sender = Sender(known, publisher, self._options.rate)
        sender.send_now(chain(stream.items(codec), crowd_of(codec, self._options.items)))
        self._say(f"waiting for the workers; their logs are in {self._loop.log_dir}")
        readiness = Readiness(self._settings, self._options.processes, self._options.items)
        insist_on(readiness.missing, READY_WITHIN_S, self._look)
        sender.start()
        with clients.release_service(self._settings) as service:
            self._say("learning until there are two generations …")
            insist_on(lambda: self._unready(service), RELEASED_WITHIN_S, self._look)
            self._swap(service)
        sender.stop()
        publisher.close()
        return self._report()

    def _unready(self, service: ReleaseService) -> str:
        """Without two generations nothing can be swapped, without lists nothing can be mixed."""
        if not service.state().history:
            return "one generation only"
        lists = sum(one.gauges.get("published", 0) for one in self._fleet.workers())
        return "" if lists else "no list yet"

    def _swap(self, service: ReleaseService) -> None:
        """It is used by one thread; this one goes on looking after the workers."""
        said_s = time.monotonic()
        with ThreadPoolExecutor(1, thread_name_prefix="swaps") as aside:
            for _ in range(self._options.swaps // 2):
                both = aside.submit(self._back_and_forward, service)
                while not both.done():
                    self._look()
                both.result()
                if time.monotonic() - said_s > SAY_EVERY_S:
                    said_s = time.monotonic()
                    self._say(f"{len(self._seen.back_ms) + len(self._seen.forward_ms)} flips")

    def _back_and_forward(self, service: ReleaseService) -> None:
        champion = service.state().champion or ""
        self._seen.note(insist(lambda: service.rollback("drill")), self._seen.back_ms)
        time.sleep(BETWEEN_S)
        forward = insist(lambda: service.activate(champion, "drill"))
        self._seen.note(forward, self._seen.forward_ms)
        time.sleep(BETWEEN_S)

    def _look(self) -> None:
        self._loop.watch()
        self._pauses.sample(self._fleet.workers())
        time.sleep(LOOK_S)

    def _report(self) -> dict[str, Any]:
        seen, logs = self._seen, evidence.read_logs(self._settings)
        controls = [
            (at.timestamp_ms, at.value)
            for at in logs[topics.ADAPTERS]
            if isinstance(at.value, ControlRecord)
        ]
        answers = [at.value for at in logs[topics.RECOMMENDATIONS]]
        mixed = drill_check.mixed(controls, answers)
        both = [*seen.back_ms, *seen.forward_ms]
        return {
            "ok": not mixed and not seen.unconfirmed,
            "swaps": len(both) + seen.unconfirmed,
            "unconfirmed": seen.unconfirmed,
            "rolled_back": len(seen.back_ms),
            "brought_forward": len(seen.forward_ms),
            "rollback_ms": percentiles(seen.back_ms, 50, 99, 100),
            "forward_ms": percentiles(seen.forward_ms, 50, 99, 100),
            "pause_ms": percentiles(self._pauses.pauses_ms, 50, 99, 100),
            "pauses": len(self._pauses.pauses_ms),
            "lists": len(answers),
            "mixed": len(mixed),
            "items": self._options.items,
            "serving_workers": self._options.processes.serving,
            "machine": machine(),
        }


def in_words(found: dict[str, Any]) -> RenderableType:
    """A table and a line."""
    table = Table(box=None)
    for column in ("", "times", "median ms", "99 %", "longest"):
        table.add_column(column, justify="left" if not column else "right")
    for name, times, key in (
        ("rolled back, all workers", found["rolled_back"], "rollback_ms"),
        ("brought forward, all workers", found["brought_forward"], "forward_ms"),
        ("pause of one worker", found["pauses"], "pause_ms"),
    ):
        shown = ("-" if ms is None else f"{ms:.2f}" for ms in found[key].values())
        table.add_row(name, str(times), *shown)
    return Group(
        table,
        "",
        f"{found['swaps']} swaps, {found['unconfirmed']} not confirmed by all; "
        f"{found['lists']:,} lists, {found['mixed']} mixed; {found['items']:,} items, "
        f"{found['serving_workers']} serving workers",
    )


def crowd_of(codec: Codec, items: int) -> Iterator[Message]:
    """As many more items as are wanted: nobody clicks them, everybody has to rank them."""
    for n in range(stream.ITEMS, items):
        item = Item(f"i{n}", f"One of many, number {n}", categories=("many",))
        yield Message(topics.ITEMS, item.item_id.encode(), codec.encode(topics.ITEMS, item))
