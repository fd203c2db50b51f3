"""The whole loop on Apache Kafka and a real Redis, driven from the command line.

An event comes out as a recommendation; generations are trained, judged and activated; the
champion is rolled back and brought forward; nothing is left running.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.harness.command_line import CommandLine, descendants, gone
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.apache_kafka, pytest.mark.redis_server, pytest.mark.slow]

GENRES = ("Drama", "Space")
ITEMS = [
    {
        "item_id": f"i{n}",
        "title": f"{('Quiet letters', 'Rockets over Mars')[n % 2]} {n}",
        "categories": [GENRES[n % 2]],
    }
    for n in range(60)
]


def clicks(count: int, seed: int) -> list[dict[str, Any]]:
    """Users with an even number like dramas, the others space; they mostly click what they like."""
    rng = random.Random(seed)
    made = []
    for n in range(count):
        user = rng.randrange(40)
        item = rng.randrange(30) * 2 + (user % 2 if rng.random() < 0.9 else rng.randrange(2))
        made.append(
            {
                "event_id": f"{seed}-{n}",
                "user_id": f"u{user}",
                "item_id": f"i{item}",
                "kind": "click",
                "occurred_at": 1_772_000_000 + seed * 10_000 + n,
            }
        )
    return made


def lines(values: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


@pytest.fixture
def shell(apache_kafka: str, redis_url: str, fresh_prefix, tmp_path: Path) -> CommandLine:
    return CommandLine(
        {
            "STREAMREC_KAFKA_BOOTSTRAP": apache_kafka,
            "STREAMREC_KAFKA_TOPIC_PREFIX": fresh_prefix.topic,
            "STREAMREC_REDIS_URL": redis_url,
            "STREAMREC_REDIS_KEY_PREFIX": fresh_prefix.redis,
            "STREAMREC_STATE_DIR": tmp_path / "state",
            "STREAMREC_ENCODER_THREADS": 1,
            "STREAMREC_TRAINER_RELEASE_EXAMPLES": 60,
            "STREAMREC_TRAINER_RELEASE_S": 3,
            "STREAMREC_TRAINER_GATE_EXAMPLES": 30,
            "STREAMREC_TRAINER_GATE_S": 3,
            "STREAMREC_GATEWAY_PORT": 0,
        },
        tmp_path,
    )


@pytest.fixture
def up(shell: CommandLine) -> Iterator[int]:
    """The pid of a running ``streamrec up`` with a catalogue."""
    assert shell.run("topics", "create").returncode == 0
    assert shell.run("items", "load", "-", stdin=lines(ITEMS)).returncode == 0
    with shell.started("up") as process:
        eventually(lambda: serving(shell), 240, "a serving worker with a generation", every_s=0.2)
        yield process.pid


def send(shell: CommandLine, events: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    (shell.directory / "events.jsonl").write_text(lines(events))
    return shell.run_here("events", "send", "events.jsonl")


def serving(shell: CommandLine) -> bool:
    done = shell.run_here("status", "--json")
    if done.returncode:
        return False
    workers = json.loads(done.stdout)["workers"]
    roles = {worker["role"] for worker in workers}
    return roles == {"features", "trainer", "serving", "gateway"} and any(
        w["active"] for w in workers
    )


@pytest.mark.timeout(400)
def test_an_event_comes_out_as_a_recommendation_and_the_champion_goes_back_and_forth(
    shell: CommandLine, up: int
) -> None:
    # an event comes out as a recommendation
    with shell.started("recommendations", "tail", "--json", "-n", "1", "--user", "u1") as tail:
        for seed in range(100, 130):  # until the tail, once it listens, has seen one
            click = clicks(1, seed)[0] | {"user_id": "u1"}
            assert send(shell, [click]).returncode == 0
            if tail.poll() is not None:
                break
        assert tail.wait(30) == 0
    found = json.loads((shell.directory / "recommendations.out").read_text())
    assert found["user_id"] == "u1"
    assert found["trigger"] == "user-update"
    assert len(found["items"]) == 10

    # the stream, with two bad lines that are named and not sent
    sent = shell.run("events", "send", "-", stdin=lines(clicks(600, seed=1)) + "{}\nno\n")
    assert sent.returncode == 1
    assert "line 601" in sent.stderr
    assert "600 events sent, 2 refused" in sent.stderr

    # generations are trained, judged and activated
    seed = 2
    while len(champions(shell)) < 2:
        assert seed < 40, "no second champion"
        assert send(shell, clicks(120, seed)).returncode == 0
        seed += 1

    # back, confirmed by the fleet, and seen in the next answer
    undone = shell.json("adapters", "rollback", "-m", "the test says so")
    assert undone["confirmed_ms"].keys() == {"serving-1"}
    answer = shell.json("request", "u1", "-k", "3", "--category", "Space")
    assert answer["generation"] == undone["generation"]
    assert {item["item_id"] for item in answer["items"]} <= {f"i{n}" for n in range(1, 60, 2)}
    listed = shell.json("adapters", "list")
    assert (listed["champion"], listed["pinned"]) == (undone["generation"], True)
    log = shell.json("adapters", "show", undone["generation"])["log"]
    assert log[-1]["action"] == "rollback"
    assert log[-1]["reason"] == "the test says so"

    # and forward
    newer = max(g["generation"] for g in listed["generations"] if g["manifest"]["gate"])
    forward = shell.json("adapters", "activate", newer)
    assert forward["confirmed_ms"].keys() == {"serving-1"}
    assert shell.json("request", "u1")["generation"] == newer
    assert shell.json("adapters", "show", newer)["manifest"]["generation"] == newer

    doctor = shell.run("doctor")
    assert doctor.returncode == 0, doctor.stdout

    # nothing stays behind
    children = descendants(up)
    assert len(children) >= 3, "the workers, and what forked them"
    psutil.Process(up).send_signal(signal.SIGINT)
    eventually(lambda: gone(children), 60, "every worker has stopped")


def champions(shell: CommandLine) -> list[str]:
    """Every generation that is or was champion."""
    listed = shell.json("adapters", "list", here=True)
    former = [g["generation"] for g in listed["generations"] if g["state"] == "former champion"]
    return [*former, *([listed["champion"]] if listed["champion"] else [])]
