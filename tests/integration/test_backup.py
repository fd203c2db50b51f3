"""docs/backup.md, carried out: a backup of a running loop; all is lost but Kafka; it goes on."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streamrec.core.ledger import ledger as watermarks
from streamrec.core.ledger.ledger import Ledger
from streamrec.infra.stores.checkpoints import DirectoryCheckpoints
from tests.harness.command_line import CommandLine, descendants, gone
from tests.harness.servers import RedisServer, new_redis_server
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.apache_kafka, pytest.mark.redis_server, pytest.mark.slow]

PAGE = Path(__file__).parents[2] / "docs" / "backup.md"
USERS = [f"u{n}" for n in range(6)]
ITEMS = [f"i{n}" for n in range(12)]
START = datetime(2026, 3, 1, tzinfo=UTC)


def commands(name: str) -> str:
    """What the page tells a person to type."""
    (found,) = re.findall(
        rf"<!-- a test runs this: {name} -->\n```sh\n(.*?)```", PAGE.read_text(), re.DOTALL
    )
    return str(found)


class BackedUpLoop:
    """``streamrec up`` with a Kafka and a Redis that are not its own."""

    def __init__(self, kafka: str, redis: RedisServer, topics: str, directory: Path) -> None:
        self.redis, self.directory = redis, directory
        self.state = directory / "state"
        variables = {
            "STREAMREC_STATE_DIR": self.state,
            "STREAMREC_KAFKA_BOOTSTRAP": kafka,
            "STREAMREC_KAFKA_TOPIC_PREFIX": topics,
            "STREAMREC_KAFKA_SESSION_TIMEOUT_S": 6,
            "STREAMREC_REDIS_URL": redis.url,
            "STREAMREC_ENCODER_ADAPTER": "none",
            "STREAMREC_TRAINER_RELEASE_EXAMPLES": 60,
            "STREAMREC_TRAINER_RELEASE_S": 1,
            "STREAMREC_TRAINER_GATE_EXAMPLES": 20,
            "STREAMREC_TRAINER_GATE_S": 1,
            "STREAMREC_TRAINER_CHECKPOINT_S": 1,
        }
        self.shell = CommandLine(variables, directory)
        self.sent = 0

    def type(self, name: str) -> None:
        """The commands of the page, by an operator with these variables."""
        mine = {
            "BACKUP": self.directory / "backup",
            "REDIS_DIR": self.redis.data_dir,
            "REDIS_PORT": self.redis.port,
        }
        environment = self.shell.environment | {k: str(v) for k, v in mine.items()}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands(name)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def click(self, count: int) -> None:
        """Users and items in turn, so that everybody has something of each part."""
        lines = []
        for n in range(self.sent, self.sent + count):
            at = (START + timedelta(seconds=20 * n)).isoformat()
            user, item = USERS[n % len(USERS)], ITEMS[(n * n + n // 5) % len(ITEMS)]
            click = {"event_id": f"e{n}", "user_id": user, "item_id": item, "kind": "click"}
            lines.append(json.dumps(click | {"occurred_at": at}))
        assert self.shell.run("events", "send", "-", stdin="\n".join(lines)).returncode == 0
        self.sent += count

    def ledger(self) -> Ledger:
        saved = DirectoryCheckpoints(self.state / "checkpoints").newest()
        return Ledger() if saved is None else watermarks.from_record(saved.record["ledger"])

    def learned(self) -> bool:
        """Everything that was sent; each click is an example."""
        return self.ledger().trained == self.sent

    def people(self) -> list[Any]:
        """What is known of each. Not: the features of clicks that wait for their view, which look
        at what other partitions had counted at that moment."""
        known = [self.shell.json("users", "show", user, here=True)["state"] for user in USERS]
        return [{name: part for name, part in one.items() if name != "df"} for one in known]

    def generations(self) -> list[dict[str, Any]]:
        """Newest first."""
        return list(self.shell.json("adapters", "list", here=True)["generations"])

    def champion(self) -> str:
        return str(self.shell.json("adapters", "list", here=True)["champion"])

    def goes_on(self) -> None:
        eventually(self.learned, what=lambda: f"{self.ledger().trained} of {self.sent} learned")


@pytest.fixture
def loop(apache_kafka, fresh_prefix, tmp_path: Path) -> Iterator[BackedUpLoop]:
    redis = new_redis_server(tmp_path / "redis")
    redis.start()
    made = BackedUpLoop(apache_kafka, redis, fresh_prefix.topic, tmp_path)
    yield made
    redis.stop()


def test_everything_but_kafka_is_lost_and_restored(loop: BackedUpLoop) -> None:
    with loop.shell.started("up", "--no-gateway") as up:
        catalogue = "".join(
            json.dumps({"item_id": item, "title": f"film {n}"}) + "\n"
            for n, item in enumerate(ITEMS)
        )
        eventually(lambda: "started features-1" in (loop.directory / "up.out").read_text())
        assert loop.shell.run("items", "load", "-", stdin=catalogue).returncode == 0
        loop.click(300)
        loop.goes_on()
        loop.type("backup")
        kept = {one["generation"] for one in loop.generations()}
        loop.click(300)
        loop.goes_on()
        eventually(lambda: loop.champion() not in kept, what="a champion younger than the backup")
        before = loop.people()
        started = descendants(up.pid)
        up.kill()
    eventually(lambda: gone(started))  # they hear of it, and write until then
    loop.redis.kill()
    shutil.rmtree(loop.state)
    shutil.rmtree(loop.redis.data_dir)
    loop.redis.data_dir.mkdir()

    loop.type("restore")
    loop.redis.start()
    said = loop.shell.run("doctor").stdout
    assert f"{loop.champion()} is not in the registry" in said
    assert "it fits the logs it comes from" in said
    assert loop.people() != before, "Redis is older than Kafka"
    newest = loop.generations()[0]["generation"]
    assert loop.shell.run("adapters", "activate", newest, "-m", "restored").returncode == 0

    with loop.shell.started("up", "--no-gateway") as up:
        answer = json.loads(loop.shell.run("request", USERS[0], "--json", "--wait", "60").stdout)
        assert answer["items"]
        loop.goes_on()
        eventually(lambda: loop.people() == before, what="histories as they were")
        loop.click(60)
        loop.goes_on()
        up.terminate()
        assert up.wait() == 0
    log = (loop.state / "logs" / "trainer-1.log").read_text()
    assert "resuming at mini-batch" in log
    assert "there is no checkpoint" not in log
    assert loop.ledger().lost == 0
    assert loop.shell.run("state", "check").returncode == 0
    assert loop.shell.json("dead-letter", "list")["total"] == 0
