"""Every consumer of the loop, as something that is fed bytes and says what became of them.

Each runs the real decoding, the real edge and the real stage; what lies beyond (Kafka's
client, Redis, the model) is a fake. State is kept from chunk to chunk, as in a worker.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from kafka import TopicPartition

from streamrec.core.events import (
    Filters,
    Interaction,
    Item,
    Kind,
    Recommendation,
    RecommendedItem,
    Request,
    Trigger,
    UserUpdate,
)
from streamrec.core.release import registry, transitions
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import Action, ControlRecord, RegistryState
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.user_state import UserState
from streamrec.core.tasks import RANKING, slot
from streamrec.errors import GenerationRefused, Malformed, Refused, Unavailable
from streamrec.infra.feeds.batch_feed import KafkaBatchFeed
from streamrec.infra.feeds.trigger_feed import KafkaTriggerFeed
from streamrec.infra.stores import control_log
from streamrec.infra.stores.checkpoints import DirectoryCheckpoints, record_digest
from streamrec.infra.wire.follower import Follower
from streamrec.infra.wire.schema_registry import RegisteredSchema
from streamrec.loop.ingesting.raw import RawRecord
from streamrec.loop.serving.poison_pill import PoisonMessageIsolation
from streamrec.loop.training.training_progress import TrainingProgress
from streamrec.ports import LearnReport
from streamrec.settings import KafkaSettings
from streamrec.tasks.ranking.examples import RankingExample
from streamrec.tasks.ranking.lists.explanation import packed, unpacked
from streamrec.tasks.ranking.model.tensors import example_tensors
from tests.fakes.publisher import FakePublisher
from tests.fakes.store import FakePartitionStore
from tests.fakes.streams import ITEMS, START_MS
from tests.harness.codec import wire_codec
from tests.harness.training import World, batches
from tests.unit.loop.ingesting import EVENTS, load_catalogue, make_ingest
from tests.unit.loop.ingesting import ITEMS as ITEMS_SOURCE
from tests.unit.loop.serving import Counter, items

CODEC = wire_codec()
SETTINGS = KafkaSettings(bootstrap="nowhere:1")


@dataclass
class Verdict:
    """What became of a chunk, by place in it."""

    handled: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)  # place -> reason


class Consumer(Protocol):
    name: str
    topic: str | None  # whose schema the mutator may use

    def corpus(self) -> list[bytes]: ...

    def neighbour(self, number: int) -> bytes:
        """A good input whose treatment can be told from every other's."""
        ...

    def feed(self, chunk: Sequence[bytes], neighbours: dict[int, int]) -> Verdict:
        """``neighbours``: place in the chunk -> number. A neighbour counts as handled only
        when its effect is seen."""
        ...


def letters(publisher: FakePublisher, since: int) -> dict[int, str]:
    """Reasons by original offset, of the dead letters beyond the first ``since``."""
    values = publisher.values("dead-letter")[since:]
    found = [CODEC.decode("dead-letter", value) for value in values]
    return {letter.offset: f"{letter.code}: {letter.reason}" for letter in found if letter.reason}


# --- feature worker ---------------------------------------------------------------------


class Events:
    name = topic = "events"

    def __init__(self, scratch: Path) -> None:
        del scratch
        self.store, self.publisher = FakePartitionStore(), FakePublisher()
        self.ingest = make_ingest(self.store, self.publisher)
        load_catalogue(self.ingest)
        self.ingest.take_over(EVENTS)
        self.at = 0

    def corpus(self) -> list[bytes]:
        fields = {
            "event_id": "e1", "user_id": "ann", "item_id": "i1", "kind": "play", "value": 0.7,
            "occurred_at": "2026-01-02T03:04:05Z", "impression_id": "p1", "position": 3,
            "recommendation_id": "request:r1",
        }  # fmt: skip
        event = Interaction("e2", "bob", "i2", Kind.CLICK, START_MS, None, "p2", 1, "x")
        view = Interaction("e3", "bob", "i3", Kind.VIEW, START_MS + 1, None, "p2", 0)
        return [json.dumps(fields).encode(), *(CODEC.encode("events", e) for e in (event, view))]

    def neighbour(self, number: int) -> bytes:
        event = Interaction(f"n{number}", f"nb{number}", "i4", Kind.CLICK, START_MS + number)
        return CODEC.encode("events", event)

    def feed(self, chunk: Sequence[bytes], neighbours: dict[int, int]) -> Verdict:
        start, since = self.at, len(self.publisher.values("dead-letter"))
        records = [RawRecord(start + n, START_MS + n, b"k", v) for n, v in enumerate(chunk)]
        wanted = self.ingest.ingest(EVENTS, records)
        self.ingest.settle()
        self.at = wanted
        refused = {at - start: why for at, why in letters(self.publisher, since).items()}
        handled = {place for place in range(wanted - start) if place not in refused}
        for place, number in neighbours.items():
            _, [state] = self.store.read_users(EVENTS, [f"nb{number}"])
            if state is None or UserState.from_record(state).history != ("i4",):
                handled.discard(place)
        return Verdict(handled, refused)


class Items:
    name = topic = "items"

    def __init__(self, scratch: Path) -> None:
        del scratch
        self.store, self.publisher = FakePartitionStore(), FakePublisher()
        self.ingest = make_ingest(self.store, self.publisher)
        self.ingest.take_over(ITEMS_SOURCE)
        self.at = 0

    def corpus(self) -> list[bytes]:
        item = Item("i1", "A title", "some text", ("a", "b"), {"language": "en"}, True)
        fields = {"item_id": "i2", "title": "T", "categories": ["c"], "attributes": {"k": "v"}}
        return [CODEC.encode("items", item), json.dumps(fields).encode()]

    def neighbour(self, number: int) -> bytes:
        return CODEC.encode("items", Item(f"nb{number}", f"title {number}"))

    def feed(self, chunk: Sequence[bytes], neighbours: dict[int, int]) -> Verdict:
        start, since = self.at, len(self.publisher.values("dead-letter"))
        records = [RawRecord(start + n, START_MS + n, None, v) for n, v in enumerate(chunk)]
        wanted = self.ingest.ingest(ITEMS_SOURCE, records)
        self.at = wanted
        refused = {at - start: why for at, why in letters(self.publisher, since).items()}
        handled = {place for place in range(wanted - start) if place not in refused}
        rows = self.store.read_rows(ITEMS_SOURCE, start).rows
        gone = {place for place, number in neighbours.items() if f"nb{number}" not in rows}
        return Verdict(handled - gone, refused)


# --- serving worker -----------------------------------------------------------------------


class _Triggers:
    """A serving worker's way from the consumer to the published list."""

    topic = "requests"

    def __init__(self, scratch: Path) -> None:
        del scratch
        self.world = Counter()
        self.world.add_items(*items(*ITEMS))
        self.world.mirror.refresh()
        self.isolation = PoisonMessageIsolation(self.world.server)
        # without keys: each message is somebody else's, and none stands for another
        self.consumer = _Log(TopicPartition(SETTINGS.topic_prefix + self.topic, 0), key=None)
        self.trigger_feed = KafkaTriggerFeed(SETTINGS, CODEC, "fuzz", connect=self.consumer.given)

    def feed(self, chunk: Sequence[bytes], neighbours: dict[int, int]) -> Verdict:
        publisher, start = self.world.publisher, self.consumer.end
        since, answered = len(publisher.values("dead-letter")), len(self.world.published)
        self.consumer.put(chunk)
        batch = self.trigger_feed.poll(0, len(chunk))
        served = self.isolation.serve(batch, self.world.model, None)
        found = self.world.published[answered:]
        refused = {at - start: why for at, why in letters(publisher, since).items()}
        good = len(batch) - len(refused)
        told = served.unmet.get("refused", 0)  # answered, and a dead letter all the same
        counted = len(found) - told + served.coalesced + served.skipped
        assert counted == good, "a message is not counted"
        handled = {place for place in range(len(batch)) if place not in refused}
        users = {answer.user_id for answer in found}
        gone = {place for place, number in neighbours.items() if f"nb{number}" not in users}
        return Verdict(handled - gone, refused)


class Requests(_Triggers):
    name = topic = "requests"

    def corpus(self) -> list[bytes]:
        request = Request(
            "r1", "ann", START_MS, 5, "a quiet film", Filters(("a",), ("i1",), {"k": "v"}),
            ("i1", "i2"), True,
        )  # fmt: skip
        fields = {
            "request_id": "r2", "user_id": "ann", "requested_at": START_MS, "k": 3,
            "filters": {"categories": ["a"], "attributes": {"language": "en"}},
        }  # fmt: skip
        return [CODEC.encode("requests", request), json.dumps(fields).encode()]

    def neighbour(self, number: int) -> bytes:
        return CODEC.encode("requests", Request(f"nb{number}", f"nb{number}", START_MS, 2))


class UserUpdates(_Triggers):
    name = topic = "user-updates"

    def corpus(self) -> list[bytes]:
        updates = [
            UserUpdate("ann", "i1", kind, 1, 7, START_MS, START_MS, START_MS)
            for kind in (Kind.VIEW, Kind.CLICK, Kind.PLAY)
        ]
        return [CODEC.encode("user-updates", update) for update in updates]

    def neighbour(self, number: int) -> bytes:
        update = UserUpdate(
            f"nb{number}", "i1", Kind.CLICK, 0, number, START_MS, START_MS, START_MS
        )
        return CODEC.encode("user-updates", update)


# --- trainer ------------------------------------------------------------------------------

NEIGHBOUR_PARTITION = 7


class TrainingBatches:
    name = topic = "training-batches"

    def __init__(self, scratch: Path) -> None:
        self.world = World(scratch)
        self.consumer = _Log(TopicPartition(SETTINGS.topic_prefix + self.topic, 0))
        self.decoder = KafkaBatchFeed(SETTINGS, CODEC, "fuzz", connect=self.consumer.given)
        self.trainer, self.learner = self.world.trainer()
        learn = self.learner.learn

        def as_tensors_first(examples: Sequence[RankingExample]) -> LearnReport:
            tensors = example_tensors(examples, Catalogue())
            assert bool(tensors.stats_BCF.isfinite().all())
            return learn(examples)

        self.learner.learn = as_tensors_first  # type: ignore[method-assign]
        self.trainer.start()

    def corpus(self) -> list[bytes]:
        return [CODEC.encode("training-batches", batch) for batch in batches(3, size=2)]

    def neighbour(self, number: int) -> bytes:
        [batch] = batches(1, size=1, partition=NEIGHBOUR_PARTITION, start=number)
        return CODEC.encode("training-batches", batch)

    def feed(self, chunk: Sequence[bytes], neighbours: dict[int, int]) -> Verdict:
        log, verdict = self.world.feed.log, Verdict()
        start, letters_before = len(log), len(self.world.dead_letters)
        self.consumer.put(chunk)
        for place, delivered in enumerate(self.decoder.poll(0, len(chunk))):
            decoded = delivered.batch
            ours = getattr(decoded, "partition", None) == NEIGHBOUR_PARTITION
            if ours and place not in neighbours:
                decoded = Malformed("the mutator moved the neighbours' watermark")
            log.append(decoded)
        while self.trainer.progress.next_batch < len(log):
            self.trainer.round(0)
        for offset, reason in self.world.dead_letters[letters_before:]:
            verdict.refused[offset - start] = reason
        verdict.handled = {n for n in range(len(chunk)) if n not in verdict.refused}
        learned = set(self.learner.learned)
        for place, number in neighbours.items():
            if (NEIGHBOUR_PARTITION, number, 0) not in learned:
                verdict.handled.discard(place)
        return verdict


# --- followers of topics ------------------------------------------------------------------


class _Log:
    """A consumer that gives what was put into it, once."""

    def __init__(self, partition: TopicPartition, key: bytes | None = b"0") -> None:
        self.partition, self.key, self.waiting, self.end = partition, key, [], 0

    def put(self, values: Sequence[bytes]) -> None:
        for value in values:
            message = SimpleNamespace(
                timestamp_type=0,
                topic=self.partition.topic, partition=0, offset=self.end, timestamp=START_MS,
                key=self.key, value=value, headers=[],
            )  # fmt: skip
            self.waiting.append(message)
            self.end += 1

    def _poll_once(self, timer: Any) -> dict[TopicPartition, list[Any]]:
        """What a client is paced by."""
        return {}

    def assign(self, partitions: Any) -> None: ...

    def poll(self, **how: Any) -> dict[TopicPartition, list[Any]]:
        found, self.waiting = self.waiting, []
        return {self.partition: found} if found else {}

    def position(self, *args: Any, **how: Any) -> int:
        return self.end - len(self.waiting)

    def end_offsets(self, partitions: Any, **how: Any) -> dict[TopicPartition, int]:
        return {self.partition: self.end}

    def assignment(self) -> set[TopicPartition]:
        return {self.partition}

    def seek(self, *args: Any) -> None: ...

    def pause(self, *partitions: Any) -> None: ...

    def resume(self, *partitions: Any) -> None: ...

    def paused(self) -> set[TopicPartition]:
        return set()

    def close(self, **how: Any) -> None: ...

    def given(self, *args: Any, **how: Any) -> _Log:
        """In place of connecting one."""
        return self


class Warnings(logging.Handler):
    """What the log says of ignored records."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


class Control:
    """The control log: what cannot be read is ignored, aloud."""

    name, topic = "control-log", "adapters"

    def __init__(self, scratch: Path) -> None:
        del scratch
        self.consumer = _Log(TopicPartition(SETTINGS.topic_prefix + self.topic, 0), slot(RANKING))
        self.log = control_log.KafkaControlLog(
            {}, CODEC, SETTINGS.topic_prefix, connect=self.consumer.given
        )
        self.warnings = Warnings()
        control_log.log.addHandler(self.warnings)
        control_log.log.setLevel(logging.WARNING)

    def corpus(self) -> list[bytes]:
        state = RegistryState(1, "g000001-1a2b3c4d", ("g000000-00000000",), "g000002-aaaaaaaa")
        pinned = transitions.pin(RegistryState(1, "g1"), registry.Pin("ann", "why", START_MS))
        records = [
            ControlRecord(Action.STAGE, "ann", "r", START_MS, state, "g000002-aaaaaaaa", "d"),
            ControlRecord(Action.PIN, "ann", "r", START_MS, pinned),
        ]
        return [CODEC.encode("adapters", record) for record in records]

    def neighbour(self, number: int) -> bytes:
        state = RegistryState(number + 1_000, f"g{number}")
        record = ControlRecord(Action.ACTIVATE, "nb", "", number, state, f"g{number}")
        return CODEC.encode("adapters", record)

    def feed(self, chunk: Sequence[bytes], neighbours: dict[int, int]) -> Verdict:
        verdict = Verdict()
        for place, value in enumerate(chunk):
            if place not in neighbours and self._overtakes(value):
                verdict.refused[place] = "the mutator made a newer revision: not fed"
                continue
            self.warnings.said.clear()
            self.consumer.put([value])
            latest = self.log.latest()
            if self.warnings.said:
                verdict.refused[place] = self.warnings.said[0]
            elif place not in neighbours or (
                latest is not None and latest.state.champion == f"g{neighbours[place]}"
            ):
                verdict.handled.add(place)
        return verdict

    def _overtakes(self, value: bytes) -> bool:
        try:
            found = CODEC.decode("adapters", value)
        except Refused:
            return False
        latest = self.log.latest()
        return registry.accepts(latest.state if latest else RegistryState(), found)


class Recommendations:
    name = topic = "recommendations"

    def __init__(self, scratch: Path) -> None:
        del scratch
        self.consumer = _Log(TopicPartition(SETTINGS.topic_prefix + "recommendations", 0))
        self.follower = Follower(
            SETTINGS, CODEC, ["recommendations"], "fuzz", connect=self.consumer.given
        )

    def _answer(self, user: str) -> Recommendation:
        chosen = (RecommendedItem("i1", 0.5, 1.0, "popular now"), RecommendedItem("i2", 0.25))
        return Recommendation(
            "request:r1", user, chosen, "g1", {"0": 7}, Trigger.REQUEST, "r1", START_MS, 3,
            START_MS, "serving-1", None,
        )  # fmt: skip

    def corpus(self) -> list[bytes]:
        return [CODEC.encode("recommendations", self._answer("ann"))]

    def neighbour(self, number: int) -> bytes:
        return CODEC.encode("recommendations", self._answer(f"nb{number}"))

    def feed(self, chunk: Sequence[bytes], neighbours: dict[int, int]) -> Verdict:
        self.consumer.put(chunk)
        verdict = Verdict()
        for place, seen in enumerate(self.follower.poll(0)):
            if isinstance(seen.value, Refused):
                verdict.refused[place] = str(seen.value)
            elif place not in neighbours or seen.value.user_id == f"nb{neighbours[place]}":
                verdict.handled.add(place)
        return verdict


# --- decoders alone -----------------------------------------------------------------------


class _Decoder:
    """A function of bytes that may refuse, and nothing else."""

    topic: str | None = None
    refusals: tuple[type[Exception], ...] = (Refused,)

    def decode(self, data: bytes) -> object:
        raise NotImplementedError

    def feed(self, chunk: Sequence[bytes], neighbours: dict[int, int]) -> Verdict:
        verdict = Verdict()
        for place, data in enumerate(chunk):
            try:
                found = self.decode(data)
            except self.refusals as error:
                verdict.refused[place] = str(error)
            else:
                if place not in neighbours or found == self.wanted(neighbours[place]):
                    verdict.handled.add(place)
        return verdict

    def wanted(self, number: int) -> object:
        raise NotImplementedError


class FakeRegistry:
    """Answers every schema id; most answers are no schema at all, or a strange one."""

    SCHEMAS: tuple[Any, ...] = (
        None, [], {}, 7, "string", "nothing", {"type": "record"}, {"type": "map"},
        {"type": "record", "name": "x", "fields": []},
        {"type": "record", "name": "x", "fields": [{"name": "a", "type": "x"}]},
        {"type": "record", "name": "y", "fields": [{"name": "event_id", "type": "bytes"}]},
        {"type": "record", "name": "z", "fields": [
            {"name": "user_id", "type": {"type": "array", "items": "null"}}]},
        {"type": "record", "name": "w", "fields": [
            {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]},
        {"type": "enum", "name": "e", "symbols": []}, {"type": "fixed", "name": "f", "size": -1},
        {"type": "array", "items": "null"}, ["null", "null"],
    )  # fmt: skip

    PROTOBUF = (
        "message", "message A { optional string event_id = 1; repeated A a = 2; }",
        'syntax = "proto3"; message B { string event_id = 1; map<string, B> b = 2; }', "",
    )  # fmt: skip

    def __init__(self, good: Any) -> None:
        self.good = good

    def schema(self, schema_id: int) -> RegisteredSchema:
        if schema_id == 1:
            return RegisteredSchema("AVRO", self.good)
        if schema_id == 2:
            raise Unavailable("the registry is away")
        if schema_id % 10 == 3:
            return RegisteredSchema("PROTOBUF", self.PROTOBUF[schema_id % 4])
        return RegisteredSchema("AVRO", self.SCHEMAS[schema_id % len(self.SCHEMAS)])


class RegistryFramed(_Decoder):
    """Confluent framing: the writer's schema is a stranger's."""

    name = "registry-framed"
    refusals = (Refused, Unavailable)

    def __init__(self, scratch: Path) -> None:
        import schemas

        del scratch
        self.codec = wire_codec(foreign=FakeRegistry(schemas.load("event")).schema)

    def _framed(self, event: Interaction, schema_id: int = 1) -> bytes:
        return b"\0" + schema_id.to_bytes(4, "big") + CODEC.encode("events", event)[10:]

    def corpus(self) -> list[bytes]:
        event = Interaction("e2", "bob", "i2", Kind.CLICK, START_MS, None, "p2", 1, "x")
        return [self._framed(event, schema_id) for schema_id in [1] * 40 + [*range(40)]]

    def wanted(self, number: int) -> object:
        return Interaction(f"n{number}", "ann", "i1", Kind.CLICK, START_MS)

    def neighbour(self, number: int) -> bytes:
        event = self.wanted(number)
        assert isinstance(event, Interaction)
        return self._framed(event)

    def decode(self, data: bytes) -> object:
        return self.codec.decode("events", data)


class Manifests(_Decoder):
    name = "manifest"
    refusals = (GenerationRefused,)

    def __init__(self, scratch: Path) -> None:
        del scratch

    def wanted(self, number: int) -> object:
        return Manifest(
            f"g{number}", None, "v1", "base", "digest", "set", number, {"0": (0, number)},
            {"batches": [0, 1]}, {"rank": 8}, {"accepted": True}, {"head.safetensors": "ab"},
        )  # fmt: skip

    def neighbour(self, number: int) -> bytes:
        found = self.wanted(number)
        assert isinstance(found, Manifest)
        return found.to_json().encode()

    def corpus(self) -> list[bytes]:
        return [self.neighbour(number) for number in range(3)]

    def decode(self, data: bytes) -> object:
        found = Manifest.from_json(data)
        dict(found.trained_through)
        return found


class CheckpointFiles(_Decoder):
    """``checkpoint.json`` as a start reads it, with a learner's file beside it."""

    name = "checkpoint"
    refusals = (GenerationRefused,)

    def __init__(self, scratch: Path) -> None:
        self.checkpoints = DirectoryCheckpoints(scratch / "checkpoints")
        self.checkpoints.save(
            TrainingProgress(next_batch=3).to_record(),
            lambda directory: (directory / "state.json").write_bytes(b"{}") and None,
        )
        [path] = self.checkpoints.root.glob("c*")
        self.file = path / "checkpoint.json"
        self.good = self.file.read_bytes()

    def wanted(self, number: int) -> object:
        return TrainingProgress(next_batch=3 + number)

    def neighbour(self, number: int) -> bytes:
        contents = json.loads(self.good)
        contents["record"]["next_batch"] = 3 + number
        contents["digest"] = record_digest(contents["record"])
        return json.dumps(contents).encode()

    def corpus(self) -> list[bytes]:
        """With the record's digest, and without, as checkpoints once were."""
        contents = json.loads(self.good)
        del contents["digest"]
        return [self.good, json.dumps(contents).encode()]

    def decode(self, data: bytes) -> object:
        self.file.write_bytes(data)
        found = self.checkpoints.newest()
        if found is None:
            raise GenerationRefused("damaged: passed over, with a message in the log")
        return TrainingProgress.from_record(found.record)


class Explanations(_Decoder):
    name = "explanation"
    refusals = (Malformed,)

    def __init__(self, scratch: Path) -> None:
        del scratch

    def wanted(self, number: int) -> object:
        return f"request:{number}"

    def neighbour(self, number: int) -> bytes:
        from dataclasses import replace

        from tests.contract.test_explanations import ONE

        return packed(replace(ONE, recommendation_id=f"request:{number}"))

    def corpus(self) -> list[bytes]:
        return [self.neighbour(number) for number in range(3)]

    def decode(self, data: bytes) -> object:
        return unpacked(data).recommendation_id


CONSUMERS = (
    Events,
    Items,
    Requests,
    UserUpdates,
    TrainingBatches,
    Control,
    Recommendations,
    RegistryFramed,
    Manifests,
    CheckpointFiles,
    Explanations,
)
