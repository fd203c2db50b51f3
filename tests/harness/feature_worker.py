"""Feature workers as OS processes, and what they left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from streamrec import settings as reader
from streamrec.core.events import Interaction, Item
from streamrec.infra.codec import Codec
from streamrec.infra.kafka import KafkaPublisher, make_consumer
from streamrec.settings import Settings

CODEC = Codec()


class FeatureWorker:
    """One ``python -m workers.features`` process; its log is a file."""

    def __init__(self, settings: Settings, name: str, log: Path) -> None:
        self.settings, self.name, self.log = settings, name, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workers.features", self.name],
                env=reader.child_environment(self.settings),
                stdout=out,
                stderr=out,
            )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 30) -> int:
        self._process.send_signal(number)
        return self._process.wait(timeout_s)

    def wait(self, timeout_s: float) -> int:
        return self._process.wait(timeout_s)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def said(self) -> str:
        return self.log.read_text()


@contextmanager
def feature_workers(
    settings: Settings, directory: Path, count: int = 1
) -> Iterator[list[FeatureWorker]]:
    workers = [
        FeatureWorker(settings, f"features-{n}", directory / f"features-{n}.log")
        for n in range(count)
    ]
    try:
        for worker in workers:
            worker.start()
        yield workers
    finally:
        for worker in workers:
            if worker.running:
                os.kill(worker.pid, signal.SIGCONT)
                worker.kill()


def wait_until(
    condition: Callable[[], object], timeout_s: float, what: Callable[[], object]
) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout_s} s: {what()}")
        time.sleep(0.05)


def send_events(publisher: KafkaPublisher, events: Sequence[Interaction]) -> None:
    """Stamped now, whenever they occurred: a broker deletes records by their timestamps."""
    for event in events:
        publisher.publish("events", event.user_id.encode(), CODEC.encode("events", event))
    publisher.flush()


def send_items(publisher: KafkaPublisher, items: Sequence[Item]) -> None:
    for item in items:
        publisher.publish("items", item.item_id.encode(), CODEC.encode("items", item))
    publisher.flush()


def read_topic(settings: Settings, topic: str, idle_s: float = 1.0) -> list:
    """Every record of a topic, partition by partition, as far as it goes now."""
    consumer = make_consumer(settings.kafka, [topic])
    ends = consumer.end_offsets(list(consumer.assignment()))
    found = []
    deadline = time.monotonic() + 20
    while any(consumer.position(tp) < end for tp, end in ends.items()):
        assert time.monotonic() < deadline, f"{topic} could not be read to its end"
        found += [record for records in consumer.poll(200).values() for record in records]
    consumer.close()
    return sorted(found, key=lambda record: (record.partition, record.offset))
