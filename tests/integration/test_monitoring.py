"""A real Prometheus on a real loop: every panel shows something, and the right alert fires."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest

from streamrec.infra.processes.server_process import HOST, free_port
from tests.fakes.language_models import save_tiny_model
from tests.harness.command_line import CommandLine
from tests.harness.monitoring import Prometheus, Query, queries
from tests.harness.servers import program
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.embedded, pytest.mark.slow, pytest.mark.timeout(400)]

CREW = ("features-1", "serving-1", "gateway-1", "trainer-1")
ITEMS = [{"item_id": f"i{n}", "title": f"Film {n}", "categories": ["Drama"]} for n in range(40)]
ROLLED_BACK = 'streamrec_control_records_total{action="rollback", by="other"} == 1'
NO_TRAINER = {"StreamrecNoTrainer", "StreamrecWorkerDown"}


def lines(values: list[dict[str, object]]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def clicks(seed: int) -> str:
    rng = random.Random(seed)
    return lines(
        [
            {
                "event_id": f"{seed}-{n}",
                "user_id": f"u{rng.randrange(20)}",
                "item_id": f"i{rng.randrange(40)}",
                "kind": "click",
                "occurred_at": 1_772_000_000 + seed * 1_000 + n,
            }
            for n in range(60)
        ]
    )


def ports() -> dict[str, int]:
    """One after the other, all of them free: as ``up`` gives them."""
    for first in iter(free_port, None):
        found = range(first, first + len(CREW))
        with socket.socket() as probe:
            if all(probe.connect_ex((HOST, port)) for port in found):
                return dict(zip(CREW, found, strict=True))
    raise AssertionError


@pytest.fixture
def targets() -> dict[str, int]:
    program("prometheus", "REQUIRE_PROMETHEUS", "dashboards on a real loop")
    return ports()


@pytest.fixture
def shells(targets: dict[str, int], tmp_path: Path) -> dict[str, CommandLine]:
    """By whom they are for: the trainer runs by itself, so that nobody starts it again."""
    variables = {
        "STREAMREC_ENCODER_MODEL": save_tiny_model("bert", tmp_path / "model"),
        "STREAMREC_STATE_DIR": tmp_path / "state",
        "STREAMREC_GATEWAY_PORT": 0,
        "STREAMREC_TRAINER_RELEASE_EXAMPLES": 60,
        "STREAMREC_TRAINER_RELEASE_S": 2,
        "STREAMREC_TRAINER_GATE_EXAMPLES": 30,
        "STREAMREC_TRAINER_GATE_S": 2,
    }
    first = {"up": targets[CREW[0]], "trainer": targets["trainer-1"]}
    return {
        who: CommandLine(variables | {"STREAMREC_METRICS_PORT": port}, tmp_path)
        for who, port in first.items()
    }


@pytest.fixture
def prometheus(targets: dict[str, int], tmp_path: Path) -> Iterator[Prometheus]:
    with Prometheus(tmp_path / "prometheus", targets) as server:
        yield server


def ready(port: int) -> str:
    try:
        return httpx.get(f"http://{HOST}:{port}/readyz", timeout=5).text
    except httpx.HTTPError as error:
        return repr(error)


def rolled_back(shell: CommandLine) -> bool:
    """False where a release was first."""
    return shell.run_here("adapters", "rollback", "-m", "the test says so").returncode == 0


def unanswered(prometheus: Prometheus, targets: dict[str, int], asked: list[Query]) -> list[Query]:
    """Queries that return nothing; one about one worker may be for a few of them only."""

    def answered(query: Query) -> bool:
        workers = [f"{HOST}:{port}" for port in targets.values()]
        expression = query.expression.replace("$__rate_interval", "30s")
        return any(
            prometheus.ask(expression.replace("$worker", worker))
            for worker in (workers if query.of_one_worker else workers[:1])
        )

    return [query for query in asked if not answered(query)]


def test_every_panel_shows_something_and_a_trainer_that_is_gone_is_told(
    shells: dict[str, CommandLine], prometheus: Prometheus, targets: dict[str, int]
) -> None:
    up = shells["up"]
    with up.started("up", "--no-trainer", "--replies", "0"):
        sent = lambda: up.run("items", "load", "-", stdin=lines(ITEMS)).returncode == 0  # noqa: E731
        eventually(sent, what="a loop to send to", every_s=0.5)
        with shells["trainer"].started("worker", "trainer", "--id", "trainer-1") as trainer:
            for name, port in targets.items():
                eventually(
                    lambda port=port: ready(port) == "ready\n",
                    what=lambda name=name, port=port: f"{name}: {ready(port)}",
                    every_s=0.2,
                )
            left, seeds = list(queries()), count()

            def shown() -> bool:
                (up.directory / "events.jsonl").write_text(clicks(next(seeds)))
                assert up.run_here("events", "send", "events.jsonl").returncode == 0
                left[:] = unanswered(prometheus, targets, left)
                return not left

            eventually(shown, what=lambda: left, every_s=0.5)
            eventually(lambda: rolled_back(up), what="no release is first", every_s=0.5)
            eventually(lambda: prometheus.ask(ROLLED_BACK), what="the rollback is counted")
            eventually(lambda: not NO_TRAINER & prometheus.firing(), what=prometheus.firing)
            trainer.kill()
            eventually(lambda: prometheus.firing() >= NO_TRAINER, what=prometheus.firing)
    assert "metrics at" in (up.directory / "up.out").read_text()
