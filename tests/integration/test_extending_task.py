"""docs/extending.md, "Add a task": its code, executed on Apache Kafka and a real Redis.

The task of the page learns beside ranking, in a slot of its own: exactly once although its trainer
is killed in the middle, gated, released, swapped, rolled back and made again.
"""

from __future__ import annotations

import importlib.util
import json
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from kafka.admin import NewTopic

from streamrec.apps import clients, reproduce
from streamrec.core.release.registry import Action, ControlRecord
from streamrec.core.tasks import RANKING
from streamrec.infra.wire.kafka import admin_client, full_name, make_consumer
from streamrec.settings import (
    EncoderSettings,
    KafkaSettings,
    RedisSettings,
    Settings,
    TrainerSettings,
    child_environment,
)
from tests.fakes.language_models import save_tiny_model
from tests.harness.command_line import CommandLine
from tests.harness.waiting import eventually
from tests.harness.worker_process import WorkerProcess

pytestmark = [pytest.mark.apache_kafka, pytest.mark.redis_server, pytest.mark.slow]

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
TASK, TOPIC = "favourites", "favourites"
KINDS = ("view", "click", "like")
USERS, FIRST, SECOND = 24, 400, 400


def code() -> str:
    """The file that the page builds."""
    section = PAGE.read_text().split("\n## Add a task\n", 1)[1].split("\n## ", 1)[0]
    return "\n\n".join(re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))


def favourite_of(user: str) -> str:
    return KINDS[int(user[1:]) % len(KINDS)]


def events(count: int, first: int) -> list[dict[str, Any]]:
    """Each user does one kind of thing three times in four."""
    rng = random.Random(first)
    made = []
    for n in range(first, first + count):
        user = f"u{rng.randrange(USERS)}"
        kind = favourite_of(user) if rng.random() < 0.75 else rng.choice(KINDS)
        item, at = f"i{rng.randrange(30)}", 1_772_000_000 + n
        made.append(
            {"event_id": f"e{n}", "user_id": user, "item_id": item, "kind": kind, "occurred_at": at}
        )
    return made


def lines(values: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


class Favourites:
    """The page's file, its processes, and what they say."""

    def __init__(self, settings: Settings, root: Path) -> None:
        self.settings, self.root = settings, root
        self.shell = CommandLine(child_environment(settings), root)
        self.file = root / "favourites.py"
        self.file.write_text(code())
        self.answers: list[dict[str, Any]] = []
        self._consumer = make_consumer(settings.kafka, (TOPIC,), client_id="listening")

    def module(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location("favourites", self.file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["favourites"] = module
        spec.loader.exec_module(module)
        return module

    @contextmanager
    def process(self, role: str) -> Iterator[subprocess.Popen[bytes]]:
        environment = {**self.shell.environment, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(self.file), role, f"{role}-1"]
        with (self.root / f"{role}.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(60)

    def send(self, values: list[dict[str, Any]]) -> None:
        done = self.shell.run("events", "send", "-", stdin=lines(values))
        assert done.returncode == 0, done.stderr

    def listen(self) -> list[dict[str, Any]]:
        """Answers that came since the last call."""
        found = self._consumer.poll(timeout_ms=500)
        came = [json.loads(m.value) for messages in found.values() for m in messages]
        self.answers += came
        return came

    def answers_since(self, generation: str, least: int) -> list[dict[str, Any]]:
        """All of this generation or a later one; none before there are so many."""
        self.listen()
        found = [told for told in self.answers if told["generation"] >= generation]
        return found if len(found) >= least else []

    def champion(self, task: str = TASK) -> str | None:
        with clients.control_log(self.settings, task=task) as control:
            latest = control.latest()
        return latest.state.champion if latest else None

    def records(self) -> list[ControlRecord]:
        with clients.control_log(self.settings, task=TASK) as control:
            return control.records()

    def opened(self, generation: str) -> Any:
        return self.module().opened(clients.registry_store(self.settings, TASK).get(generation))

    def learned(self, generation: str) -> Counter[tuple[int, str]]:
        """Counts by row and kind of a generation."""
        module, seen_UK = self.module(), self.opened(generation).seen_UK
        return Counter(
            {
                (int(row), module.KINDS[column]): int(seen_UK[row, column])
                for row, column in zip(*np.nonzero(seen_UK), strict=True)
            }
        )

    def sent_before(self, through: Mapping[str, int]) -> Counter[tuple[int, str]]:
        """The same of the log of events, up to these offsets: what must have been learned."""
        module, codec = self.module(), clients.codec(self.settings)
        counted: Counter[tuple[int, str]] = Counter()
        consumer = make_consumer(self.settings.kafka, ("events",), client_id="counting")
        consumer.seek_to_beginning()
        missing = sum(through.values())
        while missing > 0:
            for tp, messages in consumer.poll(timeout_ms=500).items():
                for message in messages:
                    if message.offset < through.get(str(tp.partition), 0):
                        event, missing = codec.decode("events", message.value), missing - 1
                        counted[module.user_hash(event.user_id) % module.USERS, event.kind] += 1
        consumer.close()
        return counted

    def trained(self) -> int:
        """How many events the champion has learned."""
        champion = self.champion()
        return sum(self.opened(champion).trained_through.values()) if champion else 0


@pytest.fixture
def world(apache_kafka, redis_url, fresh_prefix, tmp_path) -> Iterator[Favourites]:
    trainer = TrainerSettings(
        release_examples=100, release_s=3.0, gate_examples=40, gate_s=3.0,
        swap_timeout_s=5.0, checkpoint_s=0.5,
    )  # fmt: skip
    settings = Settings(
        state_dir=tmp_path / "state",
        kafka=KafkaSettings(bootstrap=apache_kafka, topic_prefix=fresh_prefix.topic, partitions=2),
        redis=RedisSettings(url=redis_url, key_prefix=fresh_prefix.redis),
        encoder=EncoderSettings(
            model=str(save_tiny_model("bert", tmp_path / "model")),
            device="cpu", dtype="float32", threads=1,
        ),
        trainer=trainer,
    )  # fmt: skip
    with admin_client(settings.kafka) as admin:
        admin.create_topics([NewTopic(full_name(settings.kafka, TOPIC), 2, 1)])
    world = Favourites(settings, tmp_path)
    assert world.shell.run("topics", "create").returncode == 0
    items = [{"item_id": f"i{n}", "title": f"Item {n}"} for n in range(30)]
    assert world.shell.run("items", "load", "-", stdin=lines(items)).returncode == 0
    with ExitStack() as stack:
        stack.enter_context(world.process("features"))
        stack.enter_context(world.process("serving"))
        for role in ("trainer", "serving"):
            ranking = WorkerProcess(role, f"ranking-{role}", settings, tmp_path / f"ranking-{role}")
            ranking.start()
            stack.callback(ranking.end)
        yield world


@pytest.mark.timeout(600)
def test_the_task_of_the_page_runs_beside_ranking_in_a_slot_of_its_own(world: Favourites) -> None:
    first, second = events(FIRST, 0), events(SECOND, FIRST)

    # it learns, and its trainer is killed in the middle
    with world.process("trainer") as trainer:
        eventually(lambda: world.champion() is not None, 120, "a first generation")
        world.send(first)
        eventually(lambda: (world.champion() or "g000000") > "g000001", 120, "a trained one")
        trainer.kill()
    with world.process("trainer"):
        world.send(second)
        numbers = count(2_000, 30)

        def trained_after_the_kill() -> bool:
            """What is on trial needs fresh examples to be judged on."""
            world.send(events(30, next(numbers)))
            return world.trained() > FIRST + SECOND // 2

        eventually(trained_after_the_kill, 180, "a champion from after the kill")
        champion = world.champion()
        assert champion is not None
        through = world.opened(champion).trained_through
        assert world.learned(champion) == world.sent_before(through), "every event exactly once"

        # what it answers is right, and of a champion of its own slot
        def answered() -> list[dict[str, Any]]:
            """Who answers with it may hear of it a moment later than we."""
            world.send(events(30, next(numbers)))
            return world.answers_since(champion, 20)

        late = eventually(answered, 120, "answers of the champion")
        right = sum(told["favourite"] == favourite_of(told["user"]) for told in late)
        assert right >= 0.9 * len(late), late

        # rolled back, by name of the task; ranking notices nothing
        ranking = eventually(lambda: world.champion(RANKING), 120, "ranking's champion")
        done = world.shell.run_here(
            "adapters", "rollback", "--task", TASK, "-m", "odd answers since noon"
        )
        assert done.returncode == 0, done.stderr
        *_, before, undone = world.records()
        assert undone.action is Action.ROLLBACK
        back = undone.state.champion
        assert back is not None
        assert back != before.state.champion
        world.send(events(20, 5_000))
        eventually(
            lambda: any(told["generation"] == back for told in world.listen()), 60,
            "answers of the generation before",
        )  # fmt: skip
        assert world.champion(RANKING) >= ranking
        listed = json.loads(
            world.shell.run_here("adapters", "list", "--task", TASK, "--json").stdout
        )
        assert str(before.state.champion) in json.dumps(listed)

    # made again: the same digests
    report = reproduce.run(world.settings, back, lambda _: None, world.module().FavouritesTask())
    assert report.made.examples > 0
    assert report.made.identical
