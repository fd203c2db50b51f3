"""The clients that docs/http.md shows, run as they stand there, each against the same loop."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamrec.apps import access
from streamrec.core.events import Interaction
from streamrec.infra.wire.follower import Follower
from streamrec.settings import child_environment
from tests.fakes.language_models import save_tiny_model
from tests.harness.gateway import gateway
from tests.harness.kinds import SERVERS
from tests.harness.serving_loop import Loop, serving_loop
from tests.harness.waiting import PATIENCE_S, eventually

ROOT = Path(__file__).parents[2]
EXAMPLES = dict(
    re.findall(
        r"<!-- a test runs it -->\n```(\w+)\n(.*?)^```",
        (ROOT / "docs" / "http.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
)
TOOLS = {
    "python": ("ask.py", [sys.executable]),
    "sh": ("ask.sh", ["sh", "-eu"], "curl"),
    "js": ("ask.mjs", ["node"]),
    "java": ("Ask.java", ["java"]),
}


@pytest.fixture(params=SERVERS)
def loop(request, fresh_prefix, tmp_path) -> Iterator[Loop]:
    """On Apache Kafka and Redis, or on what pip installed."""
    bootstrap, redis_url = (request.getfixturevalue(name) for name in request.param)
    names = fresh_prefix.topic, fresh_prefix.redis
    model = save_tiny_model("bert", tmp_path / "model")
    with serving_loop(bootstrap, redis_url, names, model, tmp_path) as loop:
        yield loop


@pytest.mark.slow
def test_every_client_of_the_page_does_what_it_says(
    loop: Loop, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    assert EXAMPLES.keys() == TOOLS.keys()
    generation = loop.release()
    loop.worker("serving-1")
    _, secret = access.make(
        loop.settings, access.path(loop.settings), access.NewKey("shop", ("read", "write"))
    )
    came = 0
    with gateway(loop.settings) as http:
        given = {"URL": str(http.base_url).rstrip("/"), "KEY": secret, "PYTHONPATH": str(ROOT)}
        for language, (_, tool, *needed) in TOOLS.items():
            with subtests.test(language):
                if missing := [name for name in (tool[0], *needed) if not shutil.which(name)]:
                    pytest.skip(f"{missing[0]} is not here: the example in {language}")
                said = run(language, child_environment(loop.settings) | given, tmp_path)
                assert said.count("item") >= 3, said
                assert generation in said, said
                assert secret not in said
                came += 1
        eventually(lambda: len(events(loop)) == came)


def run(language: str, environment: dict[str, str], directory: Path) -> str:
    """What it prints; it must succeed."""
    name, tool, *_ = TOOLS[language]
    path = directory / name
    path.write_text(EXAMPLES[language])
    done = subprocess.run(
        [*tool, str(path)],
        env=environment,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, f"{language}: {done.stdout}{done.stderr}"
    return done.stdout


def events(loop: Loop) -> set[str]:
    """Ids of the events on the topic."""
    with Follower(loop.settings.kafka, loop.codec, ["events"], "test", from_start=True) as topic:
        found = [seen.value for _ in range(10) for seen in topic.poll(0.1)]
    return {value.event_id for value in found if isinstance(value, Interaction)}
