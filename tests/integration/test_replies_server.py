"""Replies that a server writes, in the loop: by its adapter, and by templates while it is away.

A feature worker and a replies worker over a broker and Redis; the server is the tests' own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from streamrec import settings as reader
from streamrec.apps import clients
from streamrec.apps.replies_task import replies_generations, writing_settings
from streamrec.core import topics
from streamrec.core.events import Item, Recommendation, RecommendedItem, ReplyMessage, Trigger
from streamrec.core.replies.refusals import Refusal
from streamrec.core.tasks import REPLIES
from streamrec.infra.clock import SystemClock
from streamrec.infra.wire.follower import Follower
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.models.causal import load_causal
from streamrec.models.writer import CausalWriter
from streamrec.ports import Provenance
from streamrec.settings import (
    EncoderSettings,
    KafkaSettings,
    RedisSettings,
    RepliesSettings,
    Settings,
    TrainerSettings,
)
from streamrec.tasks.replies.model.learner import RepliesLearner
from tests.fakes.causal_models import save_tiny_writer, tiny_writer
from tests.fakes.inference_server import FakeInferenceServer
from tests.harness.command_line import CommandLine
from tests.harness.waiting import eventually
from tests.harness.worker_process import WorkerProcess

pytestmark = [pytest.mark.embedded, pytest.mark.slow]


@pytest.fixture
def server() -> Iterator[FakeInferenceServer]:
    made = FakeInferenceServer(CausalWriter(tiny_writer()))
    yield made
    made.close()


class ServedWorld:
    def __init__(self, settings: Settings, root: Path) -> None:
        self.settings = settings
        self.shell = CommandLine(reader.environment(settings), root)
        self.codec, self.asked = clients.codec(settings), 0
        self.publisher = clients.publisher(settings, "test")
        self.log = Follower(settings.kafka, self.codec, (topics.REPLIES,), "test", from_start=True)
        self.said: dict[str, ReplyMessage] = {}

    def send(self, topic: str, key: str, value: Any) -> None:
        self.publisher.publish(topic, key.encode(), self.codec.encode(topic, value))
        self.publisher.flush()

    def reply(self) -> ReplyMessage:
        """To one more list."""
        self.asked += 1
        name, now_ms = f"request:q{self.asked}", SystemClock().now_ms()
        about = Recommendation(
            name, "ann", tuple(RecommendedItem(f"i{n}", 0.5) for n in range(3)), "g1", {},
            Trigger.REQUEST, f"q{self.asked}", now_ms, 0, now_ms, "test",
            query="some stones", wants_reply=True,
        )  # fmt: skip
        self.send(topics.RECOMMENDATIONS, "ann", about)

        def said() -> ReplyMessage | None:
            for message in self.log.poll(0.2):
                if message.value.final:
                    self.said[message.value.recommendation_id] = message.value
            return self.said.get(name)

        eventually(said, 60, "a reply")
        return self.said[name]

    def generation(self, root: Path) -> str:
        """An untrained one, in the registry."""
        settings = writing_settings(self.settings)
        model = load_causal(settings.encoder)
        learner, root = RepliesLearner(model), root / "new"
        root.mkdir()
        learner.write_generation(learner.snapshot(), root)
        born = Provenance(1, None, {}, {}, (0, 0), 0, None, SystemClock().now_ms())
        sealed = replies_generations(settings, model).seal(root, born)
        clients.registry_store(self.settings, REPLIES).put(sealed.generation, root)
        return sealed.generation


@pytest.fixture
def world(
    embedded_kafka, embedded_redis, fresh_prefix, tmp_path: Path, server
) -> Iterator[ServedWorld]:
    settings = Settings(
        state_dir=tmp_path / "state",
        kafka=KafkaSettings(embedded_kafka, fresh_prefix.topic, partitions=1),
        redis=RedisSettings(url=embedded_redis, key_prefix=fresh_prefix.redis),
        encoder=EncoderSettings(device="cpu", dtype="float32", threads=1),
        trainer=TrainerSettings(swap_timeout_s=30.0),
        replies=RepliesSettings(
            model=str(save_tiny_writer(tmp_path / "model")), server=server.url, max_wait_s=60.0
        ),
    )
    create_topics(settings.kafka)
    world = ServedWorld(settings, tmp_path)
    with ExitStack() as stack:
        stack.callback(world.publisher.close)
        stack.enter_context(world.log)
        for role in ("features", "replies"):
            worker = WorkerProcess(role, f"{role}-1", settings, tmp_path / f"{role}.log")
            worker.start()
            stack.callback(worker.end)
        for n in range(3):
            world.send(topics.ITEMS, f"i{n}", Item(f"i{n}", f"The Film of {n} Stones"))
        yield world


@pytest.mark.timeout(240)
def test_a_server_writes_and_while_it_is_away_templates_do(world, server, tmp_path) -> None:
    eventually(lambda: len(clients.catalogue_items(world.settings)) == 3, 60, "the catalogue")
    eventually(lambda: world.reply().fallback == "no-model", 60, "a worker that has it")
    name = world.generation(tmp_path)
    done = world.shell.run_here("adapters", "activate", name, "--task", REPLIES)
    assert done.returncode == 0, done.stderr
    assert server.writer.status().loaded == (name,)
    assert f"the server that writes has {name}, tiny" in world.shell.run_here("doctor").stdout

    assert "was made with" not in world.shell.run_here("doctor").stdout
    assert world.reply().fallback in {None, *Refusal}, "the server was asked"
    assert not server.mismatched
    server.forget()
    assert world.reply().fallback in {None, *Refusal}, "it was handed the adapter again"
    assert server.writer.status().loaded == (name,)

    server.away = True
    reply = world.reply()
    assert (reply.fallback, reply.generation) == ("away", None)
    assert "Stones" in reply.text
    said = world.shell.run_here("doctor").stdout
    assert "the server that writes: " in said
    assert "templates answer, with the fallback `away`" in said
