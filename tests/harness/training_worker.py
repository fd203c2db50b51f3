"""Trainers as OS processes over a small installation, and the mini-batches they learn from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamrec.apps import clients
from streamrec.core.events import Item, Source
from streamrec.core.examples import TrainingBatch
from streamrec.core.ledger import ledger as watermarks
from streamrec.core.ledger.ledger import Ledger
from streamrec.core.release.registry import RegistryState
from streamrec.core.state.catalogue import item_record
from streamrec.infra.stores.checkpoints import DirectoryCheckpoints
from streamrec.infra.stores.lease import break_lease
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.ports import WorkerStatus, Writes
from streamrec.settings import Settings
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample
from streamrec.tasks.ranking.features import FEATURE_SET, FEATURES
from tests.harness.worker_process import WorkerProcess

ITEMS = [Item(f"item{n}", f"word{n} word{n % 7}", categories=(f"c{n % 3}",)) for n in range(40)]
CANDIDATES = 8


def example(partition: int, offset: int, index: int = 0) -> RankingExample:
    """An impression whose accepted item shares a word with the history and is popular."""
    rng = np.random.default_rng([partition, offset, index])
    shown = rng.choice(len(ITEMS), CANDIDATES, replace=False)
    accepted = int(rng.integers(CANDIDATES))
    stats_CF = rng.normal(0, 1, (CANDIDATES, len(FEATURES))).astype(np.float32)
    stats_CF[accepted] += 0.5
    labels_C = np.zeros(CANDIDATES, np.float32)
    labels_C[accepted] = 1
    return RankingExample(
        partition=partition,
        offset=offset,
        index=index,
        kind=ExampleKind.IMPRESSION,
        user_id=f"user{offset % 11}",
        shown_at_ms=1_767_000_000_000 + offset,
        produced_at_ms=1_767_000_000_000 + offset,
        history=tuple(f"item{(shown[accepted] + 7 * n) % len(ITEMS)}" for n in range(offset % 5)),
        candidates=tuple(f"item{n}" for n in shown),
        labels_C=labels_C,
        stats_CF=stats_CF,
        log_q_C=np.zeros(CANDIDATES, np.float32),
    )


@dataclass
class Stream:
    """The examples of several partitions, sent as consecutive batches."""

    partitions: int = 2
    size: int = 16

    def __post_init__(self) -> None:
        self.sent = dict.fromkeys(range(self.partitions), 0)

    def batch(self, partition: int, start: int, stop: int) -> TrainingBatch:
        examples = [example(partition, offset) for offset in range(start, stop)]
        return TrainingBatch(partition, start, stop, FEATURE_SET, examples)

    def next_batches(self, count: int) -> list[TrainingBatch]:
        found = []
        for number in range(count):
            partition = number % self.partitions
            start = self.sent[partition]
            self.sent[partition] = start + self.size
            found.append(self.batch(partition, start, start + self.size))
        return found

    def checksums(self) -> dict[int, tuple[int, int]]:
        """(examples, checksum) that a ledger must show when each was trained exactly once."""
        return {
            p: (n, sum(watermarks.checksum(example(p, o)) for o in range(n)) % 2**64)
            for p, n in self.sent.items()
        }


class Installation:
    """Topics, a catalogue and a registry; trainers on demand."""

    def __init__(self, settings: Settings, scratch: Path, stack: ExitStack) -> None:
        self.settings, self.scratch, self._stack = settings, scratch, stack
        create_topics(settings.kafka)
        self.codec = clients.codec(settings)
        redis = self._redis = stack.enter_context(clients.redis(settings))
        self.fleet = clients.fleet(settings, redis)
        self.registry = clients.registry_store(settings)
        self.release_service = stack.enter_context(clients.release_service(settings))
        self.publisher = clients.publisher(settings, "test")
        stack.callback(self.publisher.close)
        store, source = clients.partition_store(settings, redis), Source("items", 0)
        store.commit(source, 0, 1, Writes(rows={i.item_id: item_record(i) for i in ITEMS}))

    def send(self, batches: list[TrainingBatch]) -> None:
        for batch in batches:
            key = str(batch.partition).encode()
            self.send_raw(key, self.codec.encode("training-batches", batch))
        self.publisher.flush()

    def send_raw(self, key: bytes, data: bytes) -> None:
        self.publisher.publish("training-batches", key, data)

    def trainer(self, name: str, ranks: int = 1) -> WorkerProcess:
        log = self.scratch / f"{name}.log"
        process = WorkerProcess("trainer", name, self.settings, log, ranks=ranks)
        self._stack.callback(process.end)
        process.start()
        return process

    def kill(self, trainer: WorkerProcess) -> None:
        """Its lease ends at once: it is dead for certain, and ``streamrec up`` does the same."""
        trainer.kill()
        break_lease(self._redis, self.settings.redis.key_prefix, trainer.role, trainer.name)

    @property
    def state(self) -> RegistryState:
        return self.release_service.state()

    def status(self, name: str) -> WorkerStatus | None:
        return next((w for w in self.fleet.workers() if w.worker_id == name), None)

    def ledger(self) -> Ledger:
        """Of the newest checkpoint."""
        saved = DirectoryCheckpoints(self.settings.state_dir / "checkpoints").newest()
        return watermarks.from_record(saved.record["ledger"]) if saved else Ledger()


@contextmanager
def installation(settings: Settings, scratch: Path) -> Iterator[Installation]:
    with ExitStack() as stack:
        yield Installation(settings, scratch, stack)
