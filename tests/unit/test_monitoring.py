"""Dashboards and alerts ask for metrics that there are, and are documented as they are."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamrec.infra.metrics.as_markdown import table
from streamrec.infra.metrics.told import every
from tests.harness.monitoring import DASHBOARDS, DEPLOY, metrics_of, queries, rules
from tests.harness.servers import REPOSITORY, program

PAGE = (REPOSITORY / "docs" / "monitoring.md").read_text()
OURS = {f"{one.shown}{end}" for one in every() for end in one.endings}
PROCESS = {
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
}
RULES = rules()


def promtool(*arguments: str | Path) -> None:
    command = [program("promtool", "REQUIRE_PROMETHEUS", "rules checked by it"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("board", sorted(DASHBOARDS))
def test_panels_ask_for_what_there_is(board: str) -> None:
    for query in queries():
        if query.board == board:
            asked = metrics_of(query.expression)
            assert asked or "ALERTS" in query.expression or "up{" in query.expression, query
            assert sorted(asked - OURS - PROCESS) == [], query


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alerts_ask_for_what_there_is_and_say_what_to_do(rule: dict[str, Any]) -> None:
    assert sorted(metrics_of(rule["expr"]) - OURS) == []
    assert rule["labels"]["severity"] in {"page", "ticket"}
    told = rule["annotations"]
    assert told["summary"]
    assert told["description"].endswith((".", "/readyz"))
    page, _, anchor = told["runbook_url"].partition("#")
    assert page == "docs/monitoring.md"
    assert anchor == rule["alert"].lower()
    assert f"\n### {rule['alert']}\n" in PAGE


def test_dashboards_can_be_loaded_beside_each_other() -> None:
    boards = list(DASHBOARDS.values())
    assert len({board["uid"] for board in boards}) == len(boards) == 3
    for board in boards:
        ids = Counter(panel["id"] for panel in board["panels"])
        assert max(ids.values()) == 1
        for panel in board["panels"]:
            assert panel["type"] == "row" or panel["description"]
            for target in panel.get("targets", ()):
                assert target["datasource"]["uid"] == "${datasource}"


def test_no_two_panels_share_a_place() -> None:
    for name, board in DASHBOARDS.items():
        taken = Counter(
            (x, y)
            for at in (panel["gridPos"] for panel in board["panels"])
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        )
        assert max(taken.values()) == 1, name
        assert max(x for x, _ in taken) < 24


def test_prometheus_accepts_its_configuration() -> None:
    promtool("check", "config", DEPLOY / "prometheus" / "prometheus.yaml")


def test_alerts_fire_when_they_should_and_not_before() -> None:
    cases = yaml.safe_load((DEPLOY / "prometheus" / "alerts_test.yaml").read_text())["tests"]
    assert [case["name"] for case in cases] == [rule["alert"] for rule in RULES]
    promtool("test", "rules", DEPLOY / "prometheus" / "alerts_test.yaml")


def test_compose_s_prometheus_asks_at_the_port_that_compose_sets() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    (job,) = config["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    environment = compose["x-streamrec"]["environment"]
    assert str(found["port"]) == environment["STREAMREC_METRICS_PORT"]
    assert {"features", "trainer", "serving"} <= set(found["names"])


def test_the_table_of_metrics_is_up_to_date() -> None:
    """If not: ``python -m streamrec.infra.metrics.as_markdown`` prints it."""
    found = re.search(r"<!-- metrics -->\n(.*?)\n<!-- /metrics -->", PAGE, re.DOTALL)
    assert found
    assert found[1].strip() == table().strip()
