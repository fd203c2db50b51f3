"""Copy in the loop: clicks on wordings train it, its champion decides how a new item is shown.

A feature worker, trainers of both tasks and a serving worker, over a broker and Redis.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from streamrec import settings as reader
from streamrec.apps import clients, reproduce
from streamrec.apps.copy_task import CopyTask
from streamrec.core.release.registry import Action
from streamrec.core.tasks import COPY
from streamrec.core.variants.credit import named
from streamrec.settings import (
    EncoderSettings,
    KafkaSettings,
    RedisSettings,
    Settings,
    TrainerSettings,
)
from tests.fakes.language_models import save_tiny_model
from tests.harness.command_line import COMMAND, CommandLine
from tests.harness.waiting import eventually
from tests.harness.worker_process import WorkerProcess

ITEMS = 40
ROUND = ITEMS * 50
SURE = 0.7
"""Share of traffic that a wording gets before anybody has seen it; without a prior it is 0.5."""


def item(name: str, last: int) -> dict[str, Any]:
    """``word1`` is what people click on; ``good`` says it, ``bad`` does not."""
    variants = [
        {"variant_id": "good", "title": f"word1 word{last}"},
        {"variant_id": "bad", "title": f"word2 word{last}"},
    ]
    return {"item_id": name, "title": f"word{last}", "variants": variants}


def lines(values: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def impressions(first: int, rng: random.Random) -> list[dict[str, Any]]:
    """Views of every item's wordings, and clicks: four in five on ``good`` ones."""
    made = []
    for n in range(first, first + ROUND):
        name, user = f"i{n % ITEMS}", f"u{n}"
        wording = rng.choice(["good", "bad"])
        event = {
            "user_id": user, "item_id": name, "occurred_at": 1_772_000_000 + n,
            "recommendation_id": named(f"r{n}", user, {name: wording}),
        }  # fmt: skip
        made.append(event | {"event_id": f"v{n}", "kind": "view"})
        if rng.random() < (0.8 if wording == "good" else 0.2):
            made.append(event | {"event_id": f"c{n}", "kind": "click"})
    return made


class World:
    """An installation, and what people see of it."""

    def __init__(self, settings: Settings, root: Path) -> None:
        self.settings, self.root = settings, root
        self.shell = CommandLine(reader.environment(settings), root)
        self.asked = self.sent = 0
        self.rng = random.Random(1)

    @contextmanager
    def trainer_of_copy(self) -> Iterator[None]:
        command = [*COMMAND, "worker", "trainer", "--task", COPY]
        environment = {**self.shell.environment, "OMP_NUM_THREADS": "1"}
        with (self.root / "copy.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)

    def load(self, *items: dict[str, Any]) -> None:
        done = self.shell.run("items", "load", "-", stdin=lines(list(items)))
        assert done.returncode == 0, done.stderr

    def people_click(self) -> None:
        values = impressions(self.sent, self.rng)
        self.sent += ROUND
        done = self.shell.run("events", "send", "-", stdin=lines(values))
        assert done.returncode == 0, done.stderr

    def champion(self) -> str:
        with clients.control_log(self.settings, task=COPY) as control:
            latest = control.latest()
        return (latest.state.champion if latest else None) or ""

    def share_of_good(self, item_id: str) -> float:
        """How likely a user who has not been asked for before is shown the good wording."""
        self.asked += 1
        answer = self.shell.json(
            "request", f"asker{self.asked}", "--candidate", item_id, "--wait", "60", here=True
        )
        (shown,) = answer["items"]
        share = shown["variant_propensity"]
        return float(share if shown["variant_id"] == "good" else 1 - share)


@pytest.fixture
def world(embedded_kafka, embedded_redis, fresh_prefix, tmp_path: Path) -> Iterator[World]:
    trainer = TrainerSettings(
        release_examples=32, release_s=2.0, gate_examples=20, gate_s=2.0,
        swap_timeout_s=5.0, checkpoint_s=1.0,
    )  # fmt: skip
    settings = Settings(
        state_dir=tmp_path / "state",
        kafka=KafkaSettings(embedded_kafka, fresh_prefix.topic, partitions=1),
        redis=RedisSettings(url=embedded_redis, key_prefix=fresh_prefix.redis),
        encoder=EncoderSettings(
            model=str(save_tiny_model("bert", tmp_path / "model")),
            device="cpu", dtype="float32", threads=1,
        ),
        trainer=trainer,
    )  # fmt: skip
    world = World(settings, tmp_path)
    assert world.shell.run("topics", "create").returncode == 0
    world.load(*(item(f"i{n}", n + 3) for n in range(ITEMS)))
    with ExitStack() as stack:
        for role in ("features", "trainer", "serving"):
            worker = WorkerProcess(role, f"{role}-1", settings, tmp_path / f"{role}.log")
            worker.start()
            stack.callback(worker.end)
        yield world


@pytest.mark.slow
@pytest.mark.embedded
@pytest.mark.timeout(400)
def test_clicks_on_wordings_decide_how_a_new_item_is_shown(world: World) -> None:
    with world.trainer_of_copy():
        eventually(world.champion, 90, "an untrained champion")
        untrained = world.champion()

        def trained() -> bool:
            world.people_click()
            return world.champion() > untrained

        eventually(trained, 150, "a champion that has learned", every_s=2.0)
        world.load(item("new", 90), item("later", 91))

        def prefers_the_good() -> bool:
            world.people_click()
            return world.share_of_good("new") > SURE

        eventually(prefers_the_good, 150, "the prior of an item that nobody has seen", every_s=1.0)
        told = world.shell.json("status", here=True)
        (serving,) = (w for w in told["workers"] if w["task"] == COPY and w["role"] == "serving")
        assert serving["active"] == world.champion()

        trained_one = world.champion()
        done = world.shell.run_here(
            "adapters", "activate", untrained, "--task", COPY, "-m", "why not"
        )
        assert done.returncode == 0, done.stderr
        eventually(
            lambda: world.share_of_good("later") < SURE - 0.1, 60, "no prior of the later item"
        )
    with clients.control_log(world.settings, task=COPY) as control:
        assert Action.ACTIVATE in {record.action for record in control.records()}
    report = reproduce.run(world.settings, trained_one, lambda _: None, CopyTask())
    assert report.made.identical
