"""``streamrec replay`` from files to report, on a tiny language model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streamrec.cli.app import app
from streamrec.errors import UserError
from streamrec.lab.replay.replay_main import BASELINES, ReplayPlan, run_replay
from streamrec.settings import Settings, load
from tests.fakes.language_models import save_tiny_model

ITEMS = [{"item_id": f"i{n}", "title": f"word{n}", "categories": [f"c{n % 3}"]} for n in range(20)]


def some_events() -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for n in range(120):
        common = {"user_id": f"u{n % 5}", "occurred_at": 1_600_000_000 + 60 * n}
        if n % 4:
            events.append(
                common | {"event_id": f"e{n}", "item_id": f"i{n * 7 % 20}", "kind": "click"}
            )
            continue
        shown = common | {"impression_id": f"p{n}"}
        for slot in range(4):
            item = f"i{(n + slot) % 20}"
            events.append(shown | {"event_id": f"v{n}-{slot}", "item_id": item, "kind": "view"})
        events.append(shown | {"event_id": f"k{n}", "item_id": f"i{n % 20}", "kind": "click"})
    return events


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    model = save_tiny_model("bert", tmp_path_factory.mktemp("model"))
    return load({"STREAMREC_ENCODER_MODEL": str(model)})


@pytest.fixture
def plan(tmp_path: Path) -> ReplayPlan:
    return ReplayPlan(
        items=write(tmp_path / "items.jsonl", ITEMS),
        events=write(tmp_path / "events.jsonl", some_events()),
    )


def without_clock(report: dict[str, Any]) -> dict[str, Any]:
    return report | {"learning": report["learning"] | {"seconds": 0}}


def test_the_report_has_what_was_promised(settings: Settings, plan: ReplayPlan) -> None:
    report = run_replay(settings, plan)
    for part in (report, report["second_half"]):
        assert set(part["impressions"]) == {"n", "auc", "mrr", "ndcg@5", "ndcg@10"}
        assert set(part["next_click"]) == {"n", "hr@10", "ndcg@10", "mrr"}
    assert set(report["learning"]) == {"examples", "steps", "generations", "seconds"}
    assert report["impressions"]["n"] == 30
    assert report["next_click"]["n"] == 90 - sum(1 for n in range(1, 5) if n % 4)
    assert report["learning"]["steps"] >= 2


def test_a_seed_gives_the_same_report(settings: Settings, plan: ReplayPlan) -> None:
    reports = [without_clock(run_replay(settings, plan)) for _ in range(2)]
    assert reports[0] == reports[1]


def test_every_baseline_runs_beside_the_model(settings: Settings, plan: ReplayPlan) -> None:
    full = ReplayPlan(plan.items, plan.events, compare=BASELINES)
    report = run_replay(settings, full)
    assert set(report["compare"]) == set(BASELINES)
    for other in report["compare"].values():
        assert other["next_click"]["n"] == report["next_click"]["n"]
        assert other["impressions"]["n"] == report["impressions"]["n"]
    alone = run_replay(settings, plan)
    assert report["next_click"] == alone["next_click"]  # company changes nothing


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"event_id": "x"}', "line 3"),
        ("not json", "line 3"),
        (
            '{"event_id":"x","user_id":"u","item_id":"i1","kind":"click","occurred_at":900000000}',
            "sort the file",
        ),
    ],
)
def test_a_bad_line_is_named(settings: Settings, plan: ReplayPlan, line: str, says: str) -> None:
    lines = plan.events.read_text().splitlines()
    plan.events.write_text("\n".join([*lines[:2], line, *lines[2:]]))
    with pytest.raises(UserError, match=says):
        run_replay(settings, plan)


def test_what_is_not_there_is_named(settings: Settings, plan: ReplayPlan) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        run_replay(settings, ReplayPlan(plan.items.with_name("none"), plan.events))
    with pytest.raises(UserError, match="no baseline oracle"):
        run_replay(settings, ReplayPlan(plan.items, plan.events, compare=("oracle",)))


def test_the_command_writes_the_report_and_prints_a_table(
    settings: Settings, plan: ReplayPlan, tmp_path: Path
) -> None:
    report, plot = tmp_path / "report.json", tmp_path / "curve.svg"
    done = CliRunner().invoke(
        app,
        [
            "replay",
            f"--items={plan.items}",
            f"--events={plan.events}",
            f"--report={report}",
            "--compare=popularity",
            f"--plot={plot}",
            "--warmup-until=2020-09-13T12:30:00",
        ],
        env={"STREAMREC_ENCODER_MODEL": settings.encoder.model},
    )
    assert done.exit_code == 0, done.output
    assert "popularity" in done.output
    assert json.loads(report.read_text())["next_click"]["n"] < 90
    assert plot.read_text().startswith("<svg")
    refused = CliRunner().invoke(
        app, ["replay", f"--items={plan.items}", f"--events={plan.events}", "--plot=curve.png"]
    )
    assert refused.exit_code != 0
