"""Feature workers as OS processes, and what they left behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from streamrec.apps.features import ingest_rules
from streamrec.core import tasks
from streamrec.core.events import Interaction, Item, Source
from streamrec.core.examples import TrainingBatch
from streamrec.core.ledger.ledger import Ledger
from streamrec.infra.wire.kafka import KafkaPublisher, make_consumer, partition_for
from streamrec.infra.wire.kafka_offsets import end_offsets
from streamrec.loop.ingesting.ingest import Ingest
from streamrec.loop.ingesting.raw import RawRecord
from streamrec.ports.edges import Edges
from streamrec.settings import KafkaSettings, RedisSettings, Settings, child_environment
from streamrec.tasks.ranking.example_maker import example_source
from tests.conftest import Prefix
from tests.fakes.clock import FakeClock
from tests.fakes.publisher import FakePublisher
from tests.fakes.store import FakePartitionStore
from tests.fakes.streams import ITEMS
from tests.harness.codec import wire_codec
from tests.harness.command_line import CommandLine
from tests.harness.waiting import eventually
from tests.harness.worker_process import WorkerProcess

CODEC = wire_codec()
PARTITIONS = 3


def make_settings(kafka: str, redis: str, prefix: Prefix, scratch: Path) -> Settings:
    """``kafka``, ``redis``: addresses."""
    return Settings(
        state_dir=scratch / "state",
        kafka=KafkaSettings(
            bootstrap=kafka,
            topic_prefix=prefix.topic,
            partitions=PARTITIONS,
            session_timeout_s=6.0,
        ),
        redis=RedisSettings(url=redis, key_prefix=prefix.redis),
    )


@contextmanager
def feature_workers(
    settings: Settings, directory: Path, count: int = 1
) -> Iterator[list[WorkerProcess]]:
    names = [f"features-{n}" for n in range(count)]
    workers = [
        WorkerProcess("features", name, settings, directory / f"{name}.log") for name in names
    ]
    try:
        for worker in workers:
            worker.start()
        yield workers
    finally:
        for worker in workers:
            worker.end()


def send_events(publisher: KafkaPublisher, events: Sequence[Interaction]) -> None:
    """Stamped now, whenever they occurred: a broker deletes records by their timestamps."""
    for event in events:
        publisher.publish("events", event.user_id.encode(), CODEC.encode("events", event))
    publisher.flush()


def send_items(publisher: KafkaPublisher, items: Sequence[Item]) -> None:
    for item in items:
        publisher.publish("items", item.item_id.encode(), CODEC.encode("items", item))
    publisher.flush()


def read_topic(settings: Settings, topic: str) -> list:
    """Every record of a topic, partition by partition, as far as it goes now."""
    consumer = make_consumer(settings.kafka, [topic])
    ends = consumer.end_offsets(list(consumer.assignment()))
    found = []

    def at_the_end() -> bool:
        found.extend(record for records in consumer.poll(200).values() for record in records)
        return all(consumer.position(tp) >= end for tp, end in ends.items())

    eventually(at_the_end, what=f"{topic} read to its end", every_s=0)
    consumer.close()
    return sorted(found, key=lambda record: (record.partition, record.offset))


def ranking_batches(settings: Settings) -> list[TrainingBatch]:
    """The task's part of ``training-batches``; marks of who is forgotten are for every task."""
    records = read_topic(settings, "training-batches")
    ours = [record for record in records if tasks.of_batch_key(record.key) == tasks.RANKING]
    return [CODEC.decode("training-batches", record.value) for record in ours]


def catalogue() -> list[Item]:
    return [Item(item_id, f"Title {item_id}", categories=("a",)) for item_id in ITEMS]


def lag(settings, store) -> int:
    ends = end_offsets(settings.kafka, ["items", "events"])
    return sum(end - store.position(Source(*tp)) for tp, end in ends.items())


def settled(settings, store) -> bool:
    if lag(settings, store):
        return False
    return not any(
        store.outbox(Source("events", p), name, 1)
        for p in range(PARTITIONS)
        for name in ("updates", "examples")
    )


def wait_settled(settings, store, workers) -> None:
    eventually(
        lambda: settled(settings, store),
        what=lambda: f"lag {lag(settings, store)}\n" + "\n".join(w.log for w in workers),
    )


def single_pass(settings) -> FakePartitionStore:
    """What one process that never died makes of the same log."""
    store, publisher = FakePartitionStore(), FakePublisher()
    rules = ingest_rules(settings, {"items": PARTITIONS, "events": PARTITIONS})
    owner = partial(partition_for, partitions=PARTITIONS)
    edges = Edges(store, publisher, CODEC, FakeClock(), owner)
    ingest = Ingest(edges, rules, [example_source(negatives=100)])
    for topic in ("items", "events"):
        for record in read_topic(settings, topic):
            source = Source(topic, record.partition)
            if source not in ingest.partitions:
                ingest.take_over(source)
            raw = RawRecord(record.offset, record.timestamp, record.key, record.value)
            ingest.ingest(source, [raw])
    return store


def without_features(record):
    """A user's record less the logged features: they depend on how the log was cut into runs."""
    if record is None:
        return None
    pending = [{**shown, "f": "", "ef": ""} for shown in record["p"]]
    return {**record, "p": pending, "df": []}


def assert_same_state(settings, store, expected: FakePartitionStore) -> None:
    for partition in range(PARTITIONS):
        source = Source("events", partition)
        users = sorted(expected.partitions[source].users)
        _, found = store.read_users(source, users)
        _, wanted = expected.read_users(source, users)
        assert dict(zip(users, map(without_features, found), strict=True)) == dict(
            zip(users, map(without_features, wanted), strict=True)
        )
        assert store.read_rows(source, 0) == expected.read_rows(source, 0)


def trained(settings) -> dict[tuple[int, int, int], int]:
    """Examples as a trainer takes them: each once, no hole."""
    ledger, counts = Ledger(), {}
    for batch in ranking_batches(settings):
        ledger, intake = ledger.admit(batch)
        assert intake.hole is None
        for example in intake.fresh:
            key = (example.partition, example.offset, example.index)
            counts[key] = counts.get(key, 0) + 1
    return counts


def expected_examples(expected: FakePartitionStore) -> set[tuple[int, int, int]]:
    return {
        (source.partition, entry.offset, entry.index)
        for source, partition in expected.partitions.items()
        for entry in partition.outboxes["examples"]
    }


def shell_of(settings, directory) -> CommandLine:
    """The command line with exactly these settings."""
    variables = child_environment(settings).items()
    return CommandLine({n: v for n, v in variables if n.startswith("STREAMREC_")}, directory)
