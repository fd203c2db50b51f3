"""deploy/'s dashboards and alerts, as data; and a Prometheus of its own to try them on."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml

from streamrec.infra.processes.server_process import ServerProcess
from tests.harness.servers import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
DASHBOARDS = {
    path.name: json.loads(path.read_text()) for path in sorted((DEPLOY / "grafana").glob("*.json"))
}
ALERTS: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())
METRIC = re.compile(r"\b(?:streamrec|process)_\w+\b(?!:)")
SELECTORS = re.compile(r"\{[^{}]*\}|\"[^\"]*\"|\[[^\]]*\]")


class Query(NamedTuple):
    """One query of one panel."""

    board: str
    panel: str
    expression: str

    @property
    def of_one_worker(self) -> bool:
        return "$worker" in self.expression


def queries() -> Iterator[Query]:
    """Of every panel."""
    for name, board in DASHBOARDS.items():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield Query(name, panel["title"], target["expr"])


def rules() -> list[dict[str, Any]]:
    return [rule for group in ALERTS["groups"] for rule in group["rules"]]


def metrics_of(expression: str) -> set[str]:
    """Names of the metrics in it, without what is in braces, brackets and by/on lists."""
    bare = SELECTORS.sub("", expression)
    return set(METRIC.findall(bare))


class Prometheus(ServerProcess):
    """The machine's own, asking ``targets`` every second; rules with every ``for`` shortened."""

    name = "prometheus"

    def __init__(self, data_dir: Path, targets: Mapping[str, int]) -> None:
        super().__init__(data_dir)
        self._targets = targets

    def prepare(self) -> None:
        groups = [
            group | {"rules": [rule | ({"for": "2s"} if "for" in rule else {}) for rule in rules]}
            for group, rules in ((group, group["rules"]) for group in ALERTS["groups"])
        ]
        self._write("alerts.yaml", {"groups": groups})
        ours = [f"127.0.0.1:{port}" for port in self._targets.values()]
        jobs = [{"job_name": "streamrec", "static_configs": [{"targets": ours}]}]
        every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config = {"global": every, "rule_files": ["alerts.yaml"], "scrape_configs": jobs}
        self._write("prometheus.yaml", config)

    def command(self) -> list[str]:
        return [
            shutil.which("prometheus") or "prometheus",
            f"--config.file={self.data_dir / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self.data_dir / 'tsdb'}",
            f"--web.listen-address={self.address}",
        ]

    def answers(self) -> bool:
        try:
            return httpx.get(f"http://{self.address}/-/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series that a query returns now."""
        asked = httpx.get(
            f"http://{self.address}/api/v1/query", params={"query": expression}, timeout=10
        ).json()
        assert asked["status"] == "success", (expression, asked)
        found: list[dict[str, Any]] = asked["data"]["result"]
        return found

    def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        found = self.ask('ALERTS{alertstate="firing"}')
        return {series["metric"]["alertname"] for series in found}

    def _write(self, name: str, value: object) -> None:
        (self.data_dir / name).write_text(yaml.safe_dump(value))
