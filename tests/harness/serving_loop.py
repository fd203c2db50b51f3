"""A small installation around serving workers: topics, a catalogue, a registry, people who ask."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from streamrec.apps import clients
from streamrec.apps.serving import run_serving_worker
from streamrec.core.events import Item, Kind, Recommendation, Request, Source, UserUpdate
from streamrec.core.state.catalogue import item_record
from streamrec.core.state.user_state import UserState
from streamrec.infra.clock import SystemClock
from streamrec.infra.stores.fleet import RedisFleet
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.wire.follower import Follower
from streamrec.infra.wire.kafka import partition_for
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.loop.releasing.release import Outcome, ReleaseService
from streamrec.models.loading import load_encoder
from streamrec.ports import WorkerStatus, Writes
from streamrec.settings import (
    EncoderSettings,
    GatewaySettings,
    KafkaSettings,
    RedisSettings,
    Settings,
)
from tests.harness.generations import new_generation
from tests.harness.waiting import PATIENCE_S, eventually
from tests.harness.worker_process import WorkerProcess

ITEMS = [Item(f"item{n}", f"word{n} word{n + 1}", categories=(f"c{n % 3}",)) for n in range(40)]


class Loop:
    """A small installation: topics, a catalogue, a registry; workers on demand."""

    def __init__(self, settings: Settings, scratch: Path, stack: ExitStack) -> None:
        self.settings, self.scratch, self._stack = settings, scratch, stack
        create_topics(settings.kafka)
        self.codec = clients.codec(settings)
        redis = stack.enter_context(connect_redis(settings.redis))
        self.store = RedisPartitionStore(redis, settings.redis.key_prefix)
        self.fleet = RedisFleet(redis, settings.redis.key_prefix)
        self.publisher = clients.publisher(settings, "test")
        stack.callback(self.publisher.close)
        control = stack.enter_context(clients.control_log(settings))
        registry = clients.registry_store(settings)
        self.release_service = ReleaseService(control, self.fleet, registry, SystemClock(), "test")
        self.answers: list[Recommendation] = []
        self._follower = stack.enter_context(
            Follower(settings.kafka, self.codec, ["recommendations"], "test", from_start=True)
        )
        self.encoder = load_encoder(settings.encoder)
        self.generations: list[str] = []

    def add_items(self, *items: Item) -> None:
        source = Source("items", 0)
        at = self.store.position(source)
        rows = {item.item_id: item_record(item) for item in items}
        self.store.commit(source, at, at + 1, Writes(rows=rows))

    def generation(self, **how) -> tuple[str, Path]:
        """A finished generation that is in nobody's registry yet."""
        sequence = len(self.generations) + 1
        directory = self.scratch / f"made-{sequence}"
        generation = new_generation(directory, self.encoder, sequence, **how)
        self.generations.append(generation)
        return generation, directory

    def release(self, **how) -> str:
        generation, directory = self.generation(**how)
        report = self.release_service.publish(generation, directory, "a test")
        assert report.outcome is Outcome.ACTIVATED
        assert report.swap is not None
        assert report.swap.complete, report.swap
        return generation

    def click(self, user_id: str, item_id: str) -> None:
        """What the feature worker does with a click, as far as serving can see."""
        partition = partition_for(user_id, self.settings.kafka.partitions)
        source = Source("events", partition)
        position, (record,) = self.store.read_users(source, [user_id])
        state = UserState.from_record(record) if record else UserState()
        state = replace(
            state,
            history=(*state.history, item_id),
            history_ms=(*state.history_ms, position),
            consumed=(*state.consumed, item_id),
        )
        self.store.commit(
            source, position, position + 1, Writes(users={user_id: state.to_record()})
        )
        now_ms = SystemClock().now_ms()
        update = UserUpdate(
            user_id, item_id, Kind.CLICK, partition, position, now_ms, now_ms, now_ms
        )
        self.send("user-updates", user_id, self.codec.encode("user-updates", update))

    def ask(self, user_id: str, request_id: str, **wish) -> None:
        request = Request(request_id, user_id, SystemClock().now_ms(), **wish)
        self.send("requests", user_id, self.codec.encode("requests", request))

    def send(self, topic: str, key: str, value: bytes) -> None:
        self.publisher.publish(topic, key.encode(), value)
        self.publisher.flush()

    def worker(self, name: str) -> SimpleNamespace:
        """One in a thread of this process; ``stop()`` it or the test's end does."""
        stop = threading.Event()
        thread = threading.Thread(target=run_serving_worker, args=(self.settings, name, stop))
        thread.start()

        def end() -> None:
            stop.set()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

        self._stack.callback(end)
        return SimpleNamespace(stop=end)

    def worker_process(self, name: str) -> WorkerProcess:
        process = WorkerProcess("serving", name, self.settings, self.scratch / f"{name}.log")
        self._stack.callback(process.end)
        process.start()
        return process

    def serving(self) -> dict[str, WorkerStatus]:
        return {worker.worker_id: worker for worker in self.fleet.workers()}

    def all_serve(self, generation: str, *names: str) -> bool:
        serving = self.serving()
        return all(name in serving and serving[name].active == generation for name in names)

    def both_answer(self, *names: str) -> bool:
        """Ask everybody something; whether all these workers have answered something."""
        for user in range(10):
            self.ask(f"user{user}", f"warm-up-{len(self.answers)}-{user}")
        self.read()
        return {answer.worker_id for answer in self.answers} >= set(names)

    def read(self) -> None:
        self.answers += [seen.value for seen in self._follower.poll(0.1)]

    def answers_now(self, generation: str) -> bool:
        """Whether the latest answer is this generation's."""
        self.read()
        return bool(self.answers) and self.answers[-1].generation == generation

    def answered(self, *trigger_ids: str) -> list[Recommendation]:
        """Wait for the answers to these triggers."""
        eventually(lambda: self.read() or {a.trigger_id for a in self.answers} >= set(trigger_ids))
        return [next(a for a in self.answers if a.trigger_id == wanted) for wanted in trigger_ids]


@contextmanager
def serving_loop(
    bootstrap: str, redis_url: str, names: tuple[str, str], language_model: Path, scratch: Path
) -> Iterator[Loop]:
    """``names``: prefixes of topics and of Redis keys."""
    settings = Settings(
        state_dir=scratch / "state",
        kafka=KafkaSettings(bootstrap=bootstrap, topic_prefix=names[0], partitions=2),
        redis=RedisSettings(url=redis_url, key_prefix=names[1]),
        encoder=EncoderSettings(model=str(language_model), device="cpu", dtype="float32"),
        gateway=GatewaySettings(port=0),
    )
    with ExitStack() as stack:
        loop = Loop(settings, scratch, stack)
        loop.add_items(*ITEMS)
        yield loop
