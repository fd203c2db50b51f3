"""The demo from start to end on its own servers, and interrupted half-way.

The data set is a made-up one in the layout of the real one, so that no network is needed.
"""

from __future__ import annotations

import json
import random
import re
import signal
import zipfile
from pathlib import Path

import pytest

from streamrec.infra.stores.datasets import FILMS, RATINGS
from tests.fakes.language_models import save_tiny_model
from tests.harness.command_line import CommandLine, descendants, gone
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.embedded, pytest.mark.slow, pytest.mark.timeout(400)]


def made_up_ratings(path: Path) -> None:
    """People come one after another and mostly like the genre of their kind."""
    rng = random.Random(0)
    genres = ("Action", "Comedy", "Drama")
    films = [f"{n}\tFilm {n}\t1995\t{genres[(n - 1) % 3]}" for n in range(1, FILMS + 1)]
    rows: dict[tuple[int, int], str] = {}
    while len(rows) < RATINGS:
        second = 874_724_710 + len(rows)
        user = len(rows) // 500 * 5 + rng.randrange(5)
        kind = user % 3 if rng.random() < 0.7 else rng.randrange(3)
        film = rng.randrange(FILMS // 3) * 3 + kind + 1
        stars = 5 if kind == user % 3 else rng.randrange(1, 5)
        rows.setdefault((user, film), f"{user}\t{film}\t{stars}\t{second}")
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        folder = "recbole/dataset_example/ml-100k/ml-100k"
        archive.writestr(f"{folder}.item", "\n".join(["header", *films]))
        archive.writestr(f"{folder}.inter", "\n".join(["header", *rows.values()]))


@pytest.fixture
def shell(tmp_path: Path) -> CommandLine:
    made_up_ratings(tmp_path / ".streamrec" / "datasets" / "ml-100k.zip")
    variables = {
        "STREAMREC_TRAINER_RELEASE_EXAMPLES": 200,
        "STREAMREC_TRAINER_RELEASE_S": 4,
        "STREAMREC_TRAINER_GATE_EXAMPLES": 60,
        "STREAMREC_TRAINER_GATE_S": 2,
        "STREAMREC_GATEWAY_PORT": 0,  # another test's demo looks for a free one at the same time
    }
    return CommandLine(variables, tmp_path)


def test_plays_learns_and_sums_up(shell: CommandLine) -> None:
    done = shell.run(
        *("demo", "--seconds", "25", "--rate", "60", "--summary", "summary.json"), timeout_s=350
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((shell.directory / "summary.json").read_text())
    events = summary["events"]
    assert events["dead_letter"] == 2, "one piece of junk after every 500 events"
    assert events["applied"] + events["dead_letter"] == events["produced"]
    assert events["produced"] > 600
    assert summary["recommendations"]["published"] > 100
    assert summary["recommendations"]["mixed_generation"] == 0
    assert summary["latency_ms"]["event_to_recommendation"]["p50"] > 0
    assert summary["generations"]["activated"] >= 1
    assert summary["freshness_s"]["click_to_active_generation"]["n"] > 0
    assert summary["quality"]["served"]["n"] == summary["quality"]["popular"]["n"] > 100
    assert {"demo", "trainer-1", "serving-1", "features-1"} <= summary["peak_memory_mb"].keys()
    assert summary["peak_memory_total_mb"] < 4096
    assert "hit rate@10" in done.stdout
    assert summary["run"]["asked"]["reply"]
    assert "Film " in done.stdout.split("answered")[1]
    assert re.search(r"rolled back to g\d+|no rollback is shown", done.stderr)


def test_ctrl_c_ends_it_with_a_summary_and_nothing_left_running(shell, tmp_path) -> None:
    shell.environment["STREAMREC_ENCODER_MODEL"] = str(save_tiny_model("bert", tmp_path / "model"))
    with shell.started("demo", "--seconds", "300", "--rate", "50") as demo:
        said = shell.directory / "demo.out"
        eventually(lambda: "playing:" in said.read_text(), 200, "the play")
        started = descendants(demo.pid)
        assert len(started) >= 5, "two servers, three workers, and what forked them"
        demo.send_signal(signal.SIGINT)
        assert demo.wait(90) == 130
        eventually(lambda: gone(started))  # the last two end when they hear that we have
        assert "interrupted" in said.read_text()
        assert "events" in said.read_text().rpartition("stopping")[2]


def made_up_tests(path: Path) -> None:
    """``word1`` is clicked twice as often as ``word2``, whatever the story is."""
    with path.open("w") as file:
        for n in range(60):
            arms = {f"word1 word{n}": 600, f"word2 word{n}": 300}
            variants = [
                {"variant_id": text, "title": text, "impressions": 1_000, "clicks": clicks}
                for text, clicks in arms.items()
            ]
            test = {"test_id": str(n), "opened_at": n, "variants": variants}
            file.write(json.dumps(test) + "\n")


def test_headlines_are_played_and_learned_from_until_ctrl_c(shell, tmp_path) -> None:
    made_up_tests(tmp_path / "tests.jsonl")
    shell.environment |= {
        "STREAMREC_ENCODER_MODEL": str(save_tiny_model("bert", tmp_path / "model")),
        "STREAMREC_ENCODER_DTYPE": "float32",
        "STREAMREC_TRAINER_RELEASE_EXAMPLES": "32",
        "STREAMREC_TRAINER_GATE_EXAMPLES": "20",
    }
    arguments = ("--data", "tests.jsonl", "--seconds", "300", "--rate", "300", "--no-gateway")
    with shell.started("demo", "--stream", "headlines", *arguments, "--summary", "s.json") as demo:
        said = shell.directory / "demo.out"
        learned = re.compile(r"[2-9] activated")
        eventually(lambda: learned.search(said.read_text()), 250, "a generation that has learned")
        started = descendants(demo.pid)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(90) == 130
        eventually(lambda: gone(started))
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["run"]["interrupted"]
    assert summary["events"]["dead_letter"] == 0
    assert summary["generations"]["activated"] >= 2
    found = summary["all"]
    assert found["tests"] >= 20
    assert found["clicks"] > 500
    assert 0.25 < found["clicks"] / found["impressions"] < 0.65, "as recorded"
    assert found["lift"] > 0, "Thompson sampling alone finds the better of .6 and .3"
    assert "over showing all equally" in said.read_text().rpartition("stopping")[2]
