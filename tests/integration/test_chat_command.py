"""A conversation with the loop: asked in a pipe and over HTTP, reviewed, and forgotten.

Features, trainer, serving and replies workers, over a broker and Redis.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamrec import settings as reader
from streamrec.apps import clients
from streamrec.settings import (
    EncoderSettings,
    GatewaySettings,
    KafkaSettings,
    RedisSettings,
    Settings,
    TrainerSettings,
)
from tests.fakes.language_models import save_tiny_model
from tests.harness.command_line import CommandLine
from tests.harness.gateway import gateway
from tests.harness.waiting import eventually
from tests.harness.worker_process import WorkerProcess

pytestmark = [pytest.mark.embedded, pytest.mark.slow]
TITLES = [f"The Film of {n} Stones" for n in range(12)]


class Chatting:
    def __init__(self, settings: Settings, root: Path) -> None:
        self.settings = settings
        self.shell = CommandLine(reader.environment(settings), root)

    def say(self, user: str, *lines: str) -> str:
        """What a conversation printed, results and all."""
        spoken = "".join(f"{line}\n" for line in (*lines, "/quit"))
        done = self.shell.run("chat", user, "--wait", "60", stdin=spoken)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


def post(http: httpx.Client, path: str, body: Any) -> Any:
    found = http.post(path, json=body)
    assert found.status_code == 200, found.text
    return found.json()


def report_is_true(world: Chatting) -> None:
    """Of lists, replies and thumbs that this conversation has left."""
    (world.shell.directory / "people.jsonl").write_text('{"user_id": "ann", "age": "young"}\n')
    declared = ("--users", "people.jsonl", "--by", "age", "--items-by", "size")
    found = world.shell.json("replies", "report", *declared, here=True)
    (young,) = found["users"]["groups"]
    assert young["group"] == "young"
    assert young["list_share"] == 1.0
    # of two thumbs about the first reply the first counts; one over HTTP; a reviewer's two
    assert found["judged"] == young["counts"]["judged"] >= 2
    assert young["counts"]["accepted"] >= 2
    sizes = {row["group"]: row for row in found["items"]["groups"]}
    assert set(sizes) <= {"small", "large"}
    assert sum(row["list_share"] for row in sizes.values()) == pytest.approx(1.0)
    assert world.shell.run_here("replies", "report", *declared[:4]).returncode == 0
    missing = world.shell.run_here("replies", "report", "--users", "nobody.jsonl", "--by", "age")
    assert (missing.returncode, "nobody.jsonl" in missing.stderr) == (2, True)


def hear_parts(http: httpx.Client, world: Chatting, reply_id: str) -> None:
    """A stream tells what is written as it is written."""
    with clients.redis(world.settings) as redis:
        kept = clients.replies(world.settings, redis)
        made = kept.of(reply_id)
        said = replace(made.said, reply_id="rp-part")
        kept.put_part(replace(made, said=replace(said, text="First.", sequence=0, final=False)))
        assert http.get("/v1/replies/rp-part").status_code == 404, "it is not whole"
        texts = []
        with http.stream("GET", "/v1/replies/rp-part/stream") as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    texts.append(json.loads(line.removeprefix("data:"))["text"])
                    kept.keep([replace(made, said=said)], now_ms=1)
        assert texts == ["First.", said.text]


@pytest.fixture
def world(embedded_kafka, embedded_redis, fresh_prefix, tmp_path: Path) -> Iterator[Chatting]:
    settings = Settings(
        state_dir=tmp_path / "state",
        kafka=KafkaSettings(embedded_kafka, fresh_prefix.topic, partitions=1),
        redis=RedisSettings(url=embedded_redis, key_prefix=fresh_prefix.redis),
        encoder=EncoderSettings(
            model=str(save_tiny_model("bert", tmp_path / "model")),
            device="cpu", dtype="float32", threads=1,
        ),
        trainer=TrainerSettings(swap_timeout_s=5.0),
        gateway=GatewaySettings(port=0),
    )  # fmt: skip
    world = Chatting(settings, tmp_path)
    assert world.shell.run_here("topics", "create").returncode == 0
    items = [
        {"item_id": f"i{n}", "title": title, "attributes": {"size": ("small", "large")[n % 2]}}
        for n, title in enumerate(TITLES)
    ]
    lines = "".join(json.dumps(item) + "\n" for item in items)
    assert world.shell.run("items", "load", "-", stdin=lines).returncode == 0
    with ExitStack() as stack:
        for role in ("features", "trainer", "serving", "replies"):
            worker = WorkerProcess(role, f"{role}-1", settings, tmp_path / f"{role}.log")
            worker.start()
            stack.callback(worker.end)
        yield world


@pytest.mark.timeout(300)
def test_a_conversation_is_answered_learned_from_and_forgotten(world: Chatting) -> None:
    read = "understood: not size large"
    eventually(lambda: read in world.say("ann", "not large"), 120, "a question that is read")
    said = world.say("ann", "a film with stones", "+", "7", "2", "-")
    assert "accepts the reply" in said
    assert any(title in said.split("why")[-1] for title in TITLES)
    assert "said by a template (no-model)" in said
    assert "accepted" in said
    assert "there is no item 7" in said
    assert "took i" in said
    assert "rejected" in said

    # over HTTP, in a conversation
    body = {"user_id": "ann", "query": "more stones", "reply": True, "conversation_id": "c"}
    body["reasons"] = "text"
    with gateway(world.settings) as http:
        listed = post(http, "/v1/recommendations", body | {"wait_s": 20})
        assert all("reason_text" in item for item in listed["items"])
        path = f"/v1/replies/{listed['reply_id']}"
        reply = http.get(path, params={"wait_s": 8}).json()
        assert reply["recommendation_id"] == listed["recommendation_id"]
        assert {item["item_id"] for item in listed["items"]} >= set(reply["items"]) != set()
        with http.stream("GET", f"{path}/stream") as stream:
            told = [line for line in stream.iter_lines() if line.startswith("data:")]
        assert json.loads(told[-1].removeprefix("data:"))["text"] == reply["text"]
        assert http.get("/v1/replies/rp-none").status_code == 404
        hear_parts(http, world, reply["reply_id"])
        thumb = {
            "user_id": "ann", "kind": "accept", "reply_id": reply["reply_id"],
            "occurred_at": reply["written_at_ms"] + 1,
        }  # fmt: skip
        assert post(http, "/v1/events", thumb)["accepted"] == 1

    # what waits is said when somebody approves of it
    with clients.redis(world.settings) as redis:
        replies = clients.replies(world.settings, redis)
        made = replies.of(reply["reply_id"])
        waits = replace(made.said, text="Take The Film of 3 Stones.", generation="g000001-11111111")
        for name in ("rp-yes", "rp-no"):
            held = replace(
                made, said=replace(made.said, reply_id=name), held=replace(waits, reply_id=name),
                held_log=made.log, why="stones",
            )  # fmt: skip
            assert replies.keep([held], now_ms=1) == [held]
    listed = world.shell.json("replies", "review", "list", here=True)
    assert [one["reply_id"] for one in listed] == ["rp-no", "rp-yes"]
    assert world.shell.run_here("replies", "review", "approve", "rp-yes").returncode == 0
    assert world.shell.run_here("replies", "review", "reject", "rp-no").returncode == 0
    assert world.shell.run_here("replies", "review", "reject", "rp-no").returncode == 1
    said = world.shell.json("replies", "show", "rp-yes", here=True)
    assert (said["text"], said["sequence"]) == ("Take The Film of 3 Stones.", 1_001)
    assert world.shell.json("replies", "show", "rp-no", here=True)["text"] == reply["text"]
    assert world.shell.json("replies", "review", "list", here=True) == []

    # what was said is shown, and gone with its user
    shown = world.shell.json("replies", "show", reply["reply_id"], here=True)
    assert shown["text"] == reply["text"]
    assert shown["query"] == "more stones"
    report_is_true(world)
    findings = world.shell.run_here("doctor").stdout
    assert "100% by templates (no-model" in findings
    done = world.shell.run_here("users", "forget", "ann")
    assert done.returncode == 0, done.stderr
    gone = world.shell.run_here("replies", "show", reply["reply_id"])
    assert gone.returncode == 1
    with clients.redis(world.settings) as redis:
        assert clients.conversations(world.settings, redis).turns("ann", "c") == []
