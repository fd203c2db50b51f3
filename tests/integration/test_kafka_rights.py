"""The rights that docs/operating.md names are enough for a loop, and lacking one is said plainly.

On an Apache Kafka with an authorizer, beside a real Redis. Every role has a user of its own; the
operator also takes learning back and makes a generation again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from streamrec import settings as reader
from streamrec.apps import clients
from streamrec.apps.rights import REDIS_KEYS, ROLES
from streamrec.core.topics import TOPICS
from streamrec.errors import NotAllowed
from streamrec.infra.clock import SystemClock
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.settings import (
    EncoderSettings,
    GatewaySettings,
    IngestSettings,
    RedisSettings,
    Settings,
    TrainerSettings,
)
from tests.fakes.language_models import save_tiny_model
from tests.harness.command_line import CommandLine
from tests.harness.guarded_kafka import GuardedKafka, Right, documented, guarded_kafka
from tests.harness.guarded_redis import documented_keys, grant
from tests.harness.waiting import eventually
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.xdist_group("guarded Kafka")
USERS = (*ROLES, "service", "operator", "maker", "nobody")


def test_the_table_is_what_the_workers_ask_for() -> None:
    for role, needs in ROLES.items():
        table: dict[str, set[str]] = {}
        for right in documented():
            if right.user == role and right.kind == "topic":
                table.setdefault(right.name, set()).add(right.operation)
        groups = [r.name for r in documented() if r.user == role and r.kind == "group"]
        assert table == needs.operations, role
        assert groups == ([needs.group] if needs.group else []), role


def test_the_table_of_redis_is_what_the_workers_ask_for() -> None:
    table = documented_keys()
    assert {role: table[role] for role in REDIS_KEYS} == REDIS_KEYS


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKafka]:
    with guarded_kafka(tmp_path_factory.mktemp("guarded"), *USERS) as found:
        create_topics(found.administrator)
        found.grant(*documented())
        yield found


class World:
    def __init__(self, kafka: GuardedKafka, redis_url: str, prefix: str, root: Path) -> None:
        self._kafka, self._root, self._events = kafka, root, 0
        self._random = random.Random(3)
        trainer = TrainerSettings(
            release_examples=64, gate_examples=32, release_s=5, gate_s=3,
            snapshots=100,  # commands are slow where the machine is busy; releases are not
        )  # fmt: skip
        self.settings = Settings(
            state_dir=root / "state",
            kafka=kafka.administrator,
            redis=RedisSettings(url=redis_url, key_prefix=prefix),
            encoder=EncoderSettings(
                model=str(save_tiny_model("bert", root / "model")), device="cpu", threads=1
            ),
            ingest=IngestSettings(attribution_window_s=1.0),
            trainer=trainer,
            gateway=GatewaySettings(port=0),
        )

    def of(self, user: str) -> Settings:
        redis = self.settings.redis
        if user in documented_keys():
            redis = grant(redis, user)
        return replace(self.settings, kafka=self._kafka.user(user), redis=redis)

    def shell(self, user: str) -> CommandLine:
        return CommandLine(reader.environment(self.of(user)), self._root)

    def worker(self, role: str) -> WorkerProcess:
        log = self._root / f"{role}.log"
        cold = role == "features"  # the others would import for many seconds more
        worker = WorkerProcess(role, f"{role}-1", self.of(role), log, cold=cold)
        worker.start()
        return worker

    def does(self, user: str, *command: str) -> str:
        """What a command says that must succeed."""
        done = self.shell(user).run_here(*command)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def items(self) -> str:
        rows = [{"item_id": f"i{n}", "title": f"word{n} word{n % 7}"} for n in range(40)]
        return self.file("items.jsonl", rows)

    def clicks(self, count: int) -> list[dict[str, object]]:
        """So many, a second of event time apart."""
        begin, start_ms = self._events, SystemClock().now_ms() - 10_000_000
        self._events += count
        return [
            {
                "event_id": f"e{n}", "user_id": f"u{n % 31}", "kind": "click",
                "item_id": f"i{self._random.randrange(40)}", "occurred_at": start_ms + 1000 * n,
            }
            for n in range(begin, self._events)
        ]  # fmt: skip

    def until(self, worker: WorkerProcess, condition: Callable[[], bool]) -> None:
        """People click until it is so."""
        with closing(clients.publisher(self.of("service"), "service")) as publisher:

            def met() -> bool:
                for click in self.clicks(20):
                    key = str(click["user_id"]).encode()
                    publisher.publish("events", key, json.dumps(click).encode())
                publisher.flush()
                return condition()

            eventually(
                lambda: met() or not worker.running, what=lambda: worker.log[-6000:], every_s=0.2
            )
        assert worker.running, worker.log[-6000:]

    def file(self, name: str, rows: list[dict[str, object]]) -> str:
        (self._root / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return name


@pytest.fixture
def world(kafka, redis_url, fresh_prefix, tmp_path) -> World:
    return World(kafka, redis_url, fresh_prefix.redis, tmp_path)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("doctor",), "describing streamrec.adapters"),
        (("worker", "features"), "write streamrec.training-batches"),
        (("adapters", "log"), "streamrec.adapters"),
        (("request", "ann"), "describing streamrec.recommendations"),
    ],
    ids=["doctor", "worker", "control-log", "request"],
)
@pytest.mark.apache_kafka
@pytest.mark.redis_server
def test_who_lacks_every_right_is_told_and_let_go(world, command, said) -> None:
    shell = world.shell("nobody")
    done = (shell.run if command[0] == "worker" else shell.run_here)(*command)
    assert done.returncode == 1
    text = done.stdout + done.stderr
    assert "Kafka does not allow 'nobody' this:" in text
    assert said in text
    assert "docs/operating.md, Rights in Kafka" in text
    assert "Traceback" not in text
    assert "topics create" not in text


@pytest.mark.apache_kafka
@pytest.mark.redis_server
def test_one_right_too_few_is_named(kafka: GuardedKafka, world: World) -> None:
    """It sees every topic and may write to none."""
    kafka.grant(*(Right("nobody", "topic", topic.name, "DESCRIBE") for topic in TOPICS))
    sent = world.shell("nobody").run_here(
        "events", "send", world.file("events.jsonl", world.clicks(3))
    )
    assert sent.returncode == 1
    assert "Kafka does not allow 'nobody' this: " in sent.stderr
    assert "may write to no topic" in sent.stderr
    assert "Traceback" not in sent.stderr


@pytest.mark.apache_kafka
@pytest.mark.redis_server
def test_topics_are_created_with_the_rights_that_are_named(kafka: GuardedKafka) -> None:
    names = [f"made-{topic.name}" for topic in TOPICS]
    settings = replace(kafka.user("maker"), topic_prefix="streamrec.made-")
    with pytest.raises(NotAllowed, match=r"creating streamrec\.made-items"):
        create_topics(settings)
    for operation in ("CREATE", "DESCRIBE", "DESCRIBE_CONFIGS"):
        kafka.grant(*(Right("maker", "topic", name, operation) for name in names))
    assert create_topics(settings) == [f"streamrec.{name}" for name in names]
    assert create_topics(settings) == []


@pytest.mark.timeout(300)
@pytest.mark.apache_kafka
@pytest.mark.redis_server
@pytest.mark.slow
def test_a_loop_runs_learns_is_undone_and_reproduced_with_these_rights(world: World) -> None:
    with ExitStack() as stack:
        workers = {role: world.worker(role) for role in ROLES}
        for worker in workers.values():
            stack.callback(worker.end)
        trainer = workers["trainer"]
        world.does("service", "items", "load", world.items())
        service = stack.enter_context(clients.release_service(world.settings))
        world.until(trainer, lambda: len(service.state().history) >= 2)
        before = {*service.state().history, service.state().champion}
        undo = ("adapters", "rollback", "--relearn", "-m", "a burst", "--quarantine", "0:10-60")
        assert "learns on without 0:10-60" in world.does("operator", *undo)
        world.until(trainer, lambda: service.state().champion not in before)
        assert "the learner goes back to" in trainer.log
        again = service.state().champion or ""
        assert "identical" in world.does("operator", "adapters", "reproduce", again)
        assert "answered in" in world.does("service", "request", "u1")
        assert "a burst" in world.does("operator", "adapters", "log")
        found = world.shell("operator").json("status", here=True)
        assert len(found["workers"]) == len(ROLES)
        for worker in workers.values():
            assert worker.terminate() == 0
            assert "does not allow" not in worker.log
