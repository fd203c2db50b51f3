"""``streamrec replay --task copy`` from a file to a report, on a tiny language model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from streamrec.cli.app import app
from streamrec.errors import UserError
from streamrec.lab.replay.copy_main import run_copy_replay
from streamrec.lab.replay.copy_plan import BASELINES, CopyPlan
from streamrec.lab.replay.copy_replay import Foreteller, replay_tests
from streamrec.lab.replay.headline_tests import HeadlineTest, read_tests
from streamrec.ports import LearnReport
from streamrec.settings import Settings, load
from streamrec.tasks.copy.model.prior_head import ClickLevel
from tests.fakes.language_models import save_tiny_model

DAY = 86_400


def some_tests(number: int = 70) -> list[dict[str, Any]]:
    """Texts that begin with ``good`` are clicked twice as often."""
    drawn = np.random.default_rng(3)
    tests = []
    for n in range(number):
        variants = []
        for arm in range(2 + n % 3):
            good = (arm + n) % 2 == 0
            title = f"{'good' if good else 'bad'} word{n} word{arm}"
            clicks = int(drawn.binomial(2_000, 0.04 if good else 0.02))
            variants.append({"variant_id": str(arm), "title": title} | {"impressions": 2_000})
            variants[-1]["clicks"] = clicks
        tests.append({"test_id": f"t{n}", "opened_at": 1_400_000_000 + n * DAY})
        tests[-1]["variants"] = variants
    return tests


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    model = save_tiny_model("bert", tmp_path_factory.mktemp("model"))
    return load({"STREAMREC_ENCODER_MODEL": str(model)})


@pytest.fixture
def plan(tmp_path: Path) -> CopyPlan:
    return CopyPlan(write(tmp_path / "tests.jsonl", some_tests()), BASELINES)


def test_the_report_has_what_was_promised_and_is_the_same_again(
    settings: Settings, plan: CopyPlan
) -> None:
    scored = CopyPlan(plan.tests, plan.compare, score_from=1_400_000_000 + 50 * DAY)
    report, again = (run_copy_replay(settings, scored) for _ in range(2))
    assert report | {"learning": 0} == again | {"learning": 0}
    for part in (report, report["second_half"], report["scored"]):
        for entry in (part, *(part["compare"][name] for name in BASELINES)):
            assert set(entry["pairs"]) == {"all", "p05", "p001"}
            assert set(entry["pick"]) == {"lift", "oracle"}
            assert set(entry["bandit"]) == {"100", "300", "1000", "3000"}
            assert set(entry["bandit"]["300"]) == {"uniform", "thompson", "prior"}
            assert entry["bandit"]["300"]["uniform"]["lift"] == pytest.approx(0)
    assert report["scored"]["tests"] == 20
    assert report["second_half"]["tests"] == 35
    words = report["second_half"]["compare"]["tfidf"]
    assert words["pairs"]["p05"]["accuracy"] > 0.9  # it reads the word that decides
    assert words["bandit"]["300"]["prior"]["lift"] > words["bandit"]["300"]["thompson"]["lift"]
    assert words["pick"]["lift"] <= words["pick"]["oracle"]


class WatchedLearner:
    """A learner that keeps what it had learned when it was asked."""

    def __init__(self) -> None:
        self.learned: list[str] = []
        self.level = ClickLevel()
        self.known: tuple[str, ...] = ()
        self.at: dict[str, tuple[str, ...]] = {}

    def learn(self, examples: Any) -> LearnReport:
        self.learned += [example.item_id for example in examples]
        return LearnReport(len(examples), 1, 0, {})

    def snapshot(self) -> WatchedLearner:
        copy = WatchedLearner()
        copy.known, copy.at = tuple(self.learned), self.at
        return copy

    def score(self, examples: Any) -> list[Any]:
        self.at |= {example.item_id: self.known for example in examples}
        return [np.zeros(len(example.texts)) for example in examples]


def test_a_test_is_foretold_by_those_that_had_closed_before_it_opened(tmp_path: Path) -> None:
    rows = some_tests(6)
    rows[0]["closed_at"] = rows[4]["opened_at"]  # open for four days
    tests: list[HeadlineTest] = read_tests(write(tmp_path / "t.jsonl", rows))
    learner = WatchedLearner()
    replay_tests(tests, {"one": Foreteller(learner)})
    assert learner.at == {
        "t0": (),
        "t1": (),
        "t2": ("t1",),
        "t3": ("t1", "t2"),
        "t4": ("t1", "t2", "t0", "t3"),
        "t5": ("t1", "t2", "t0", "t3", "t4"),
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"variants": []}, "two or more"),
        ({"opened_at": "monday"}, "opened_at"),
        ({"opened_at": 1}, "sort by opened_at"),
        ({"closed_at": 5}, "closed before"),
        ({"variants": [{"title": "a", "impressions": 5, "clicks": 6}] * 2}, "more clicks"),
        ({"variants": [{"title": " ", "impressions": 5, "clicks": 1}] * 2}, "no title"),
        ({"variants": [{"title": "a", "clicks": 1}] * 2}, "impressions is missing"),
        ({"variants": [{"title": "a", "impressions": True, "clicks": 1}] * 2}, "impressions is"),
        ({"variants": ["a", "b"]}, "line 3"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    rows = some_tests(4)
    rows[2] |= change
    with pytest.raises(UserError, match="line 3") as raised:
        read_tests(write(tmp_path / "t.jsonl", rows))
    assert says in str(raised.value)


def test_what_cannot_be_done_is_said(settings: Settings, plan: CopyPlan, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="oracle"):
        run_copy_replay(settings, CopyPlan(plan.tests, ("oracle",)))
    with pytest.raises(UserError, match="holds no test"):
        read_tests(write(tmp_path / "empty.jsonl", []))
    (tmp_path / "packed.xz").write_bytes(b"\xfd7zXZ\x00\xff")
    with pytest.raises(UserError, match="unpack it first"):
        read_tests(tmp_path / "packed.xz")
    for arguments, says in (
        (["--task", "copy"], "--tests"),
        (["--task", "songs"], "songs"),
        (["--task", "copy", "--tests", str(plan.tests), "--plot", "x.svg"], "--plot"),
        ([], "--items"),
    ):
        failed = CliRunner().invoke(app, ["replay", *arguments])
        assert failed.exit_code
        assert says in str(failed.exception)


def test_the_command_says_how_far_it_is_and_writes_the_report(
    settings: Settings, plan: CopyPlan, tmp_path: Path
) -> None:
    report, rows = tmp_path / "report.json", tmp_path / "rows.jsonl"
    arguments = ["--tests", str(plan.tests), "--compare", "length", "--report", str(report)]
    done = CliRunner().invoke(
        app,
        ["replay", "--task", "copy", *arguments, "--rows", str(rows)],
        env={"STREAMREC_ENCODER_MODEL": settings.encoder.model},
        catch_exceptions=False,
    )
    assert "70 of 70 tests" in done.stderr
    assert "second half: 35 tests" in done.stdout
    assert set(json.loads(report.read_text())["compare"]) == {"length"}
    assert len(rows.read_text().splitlines()) == 70
