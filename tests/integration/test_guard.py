"""A champion whose lists are empty is taken back by nobody but the loop, workers and all; one that
is asked for what does not exist is not.

Every worker is the process that `up` starts. The bad generation is a sound directory: each weight
is a finite number, and the sums they make are not. Such scores are never shown.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from streamrec import settings as reader
from streamrec.apps import clients
from streamrec.apps.local_loop import LocalLoop, ProcessCounts
from streamrec.cli.console import INTERRUPTED
from streamrec.core.events import Filters, Interaction, Kind, Request
from streamrec.infra.clock import SystemClock
from streamrec.infra.wire.follower import Follower
from streamrec.lab.demo.ready import Readiness, load_catalogue
from streamrec.models.loading import load_encoder
from streamrec.settings import (
    EncoderSettings,
    KafkaSettings,
    Settings,
    TrainerSettings,
)
from tests.fakes.language_models import save_tiny_model
from tests.harness.command_line import CommandLine
from tests.harness.generations import new_generation
from tests.harness.public import Public
from tests.harness.serving_loop import ITEMS
from tests.harness.waiting import PATIENCE_S, eventually

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

NOWHERE = Filters(categories=("no such category",))
OVERFLOWS = 3e38
"""A weight may be that large; the sum of a few inputs times that is no float32."""


@dataclass
class World:
    loop: LocalLoop
    shell: CommandLine

    @property
    def settings(self) -> Settings:
        return self.loop.settings

    def log(self, worker: str) -> str:
        return (self.loop.log_dir / f"{worker}.log").read_text()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    settings = Settings(
        state_dir=tmp_path / "state",
        kafka=KafkaSettings(partitions=1),
        encoder=EncoderSettings(
            model=str(save_tiny_model("bert", tmp_path / "model")), device="cpu", threads=1
        ),
        trainer=TrainerSettings(release_examples=1_000_000, release_s=3600.0),  # no better one
    )
    with LocalLoop(settings, ProcessCounts(), print) as loop:
        yield World(loop, CommandLine(reader.environment(loop.settings), tmp_path))


class Clickers(Public):
    """People who click, ask for more, and for what nobody has, until the test is over."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def _live(self) -> None:
        settings, clock, turn = self._settings, SystemClock(), 0
        codec = clients.codec(settings)
        follower = Follower(settings.kafka, codec, ["recommendations"], "public", from_start=True)
        with closing(follower), closing(clients.publisher(settings, "public")) as publisher:
            while not self._stop.is_set():
                turn += 1
                user, item, now_ms = f"u{turn % 20}", f"item{turn % 7}", clock.now_ms()
                click = Interaction(f"e{turn}", user, item, Kind.CLICK, now_ms)
                request = Request(f"r{turn}", user, now_ms)
                nowhere = Request(f"n{turn}", user, now_ms, filters=NOWHERE)
                sent = (("events", click), ("requests", request), ("requests", nowhere))
                for topic, value in sent:
                    publisher.publish(topic, user.encode(), codec.encode(topic, value))
                publisher.flush()
                self.lists += [seen.value for seen in follower.poll(0.05)]


def assert_told_apart(shell: CommandLine) -> None:
    """What nobody could answer is counted by its reason, and is in no level."""
    status = shell.json("status", here=True)
    (serving,) = [one for one in status["workers"] if one["role"] == "serving"]
    assert serving["gauges"]["unmet_filters"] > 50


@pytest.mark.timeout(180)
def test_a_champion_with_empty_lists_is_rolled_back_unattended(world: World, tmp_path) -> None:
    settings, shell = world.settings, world.shell
    with closing(clients.publisher(settings, "test")) as publisher:
        load_catalogue(ITEMS, clients.codec(settings), publisher)
    readiness = Readiness(settings, ProcessCounts(), len(ITEMS))
    eventually(lambda: not readiness.missing(), what=readiness.missing)
    good = shell.json("status")["champion"]["generation"]
    encoder = load_encoder(settings.encoder)
    bad = new_generation(tmp_path / "bad", encoder, 90, parent=good, linear=OVERFLOWS)
    clients.registry_store(settings).put(bad, tmp_path / "bad")
    fine = new_generation(tmp_path / "fine", encoder, 80, parent=good)
    clients.registry_store(settings).put(fine, tmp_path / "fine")
    with Clickers(settings) as public, shell.started("adapters", "log", "--follow") as following:
        eventually(lambda: any(one.items for one in public.lists))
        assert shell.run_here("adapters", "activate", fine).returncode == 0
        eventually(lambda: sum(one.generation == fine for one in public.lists) > 300)
        assert "is rolled back to" not in world.log("trainer-1")
        assert_told_apart(shell)
        activated = shell.run_here("adapters", "activate", bad, "-m", "looks good to me")
        assert activated.returncode == 0, activated.stderr
        eventually(lambda: "is rolled back to" in world.log("trainer-1"), every_s=0.2)
        after = len(public.lists)
        eventually(lambda: len(public.lists) > after + 40)
        followed = tmp_path / "adapters.out"
        eventually(lambda: f"rollback  {fine}  guard  empty lists" in followed.read_text())
        following.send_signal(signal.SIGINT)
        assert following.wait(PATIENCE_S) == INTERRUPTED
        assert "Traceback" not in followed.read_text()

    assert {bool(one.items) for one in public.lists if one.generation == bad} == {False}
    assert {one.generation for one in public.lists[-20:]} == {fine}
    asked = [one for one in public.lists[-20:] if not one.trigger_id.startswith("n")]
    assert asked
    assert all(one.items for one in asked)
    last = json.loads(shell.run_here("adapters", "log", "--json").stdout.splitlines()[-1])
    assert (last["action"], last["actor"], last["generation"]) == ("rollback", "guard", fine)
    assert "empty lists: " in last["reason"]
    said = shell.run("status").stdout
    assert "rollback by guard" in said
    assert last["reason"] in said
    assert f"{bad} is rolled back to {fine} and pinned there: empty lists" in world.log("trainer-1")
    assert shell.json("status", here=True)["champion"]["pin"]["actor"] == "guard"
