"""What a worker tells the fleet, as metrics: read when somebody asks, counted nowhere again."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from streamrec import __version__
from streamrec.core.release.live_report import LiveReport
from streamrec.infra.metrics.declared import (
    BUILD,
    GENERATION,
    LIVE_LISTS,
    LIVE_RATIO,
    READY,
    WORKER,
    Declared,
)
from streamrec.infra.metrics.told import TOLD
from streamrec.infra.metrics.vitals import Vitals
from streamrec.ports import WorkerStatus

Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily


class BeatCollector(Collector):
    """Of one process."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    def describe(self) -> list[Family]:
        """Nothing: what there is depends on the role."""
        return []

    def collect(self) -> Iterator[Family]:
        """Everything known by now."""
        vitals = self._vitals
        yield _info(BUILD, (__version__, platform.python_version()))
        yield _gauge(READY, float(not vitals.unready()))
        status = vitals.status
        if status is None:
            return
        yield _info(WORKER, (status.worker_id, status.role, status.task))
        if status.role in GENERATION.roles:
            yield _generations(status)
        yield from _told(status.role, {**status.gauges, **vitals.noted})
        if vitals.live is not None:
            yield from _live(vitals.live, status.active)


def _told(role: str, gauges: Mapping[str, float]) -> Iterator[Family]:
    families: dict[str, Family] = {}
    for told in TOLD:
        if told.role == role:
            metric = told.metric
            for values, value in told.samples(gauges):
                family = families.setdefault(metric.name, _family(metric))
                family.add_metric(values, value)
    return iter(families.values())


def _generations(status: WorkerStatus) -> Family:
    family = _family(GENERATION)
    named = [(status.active, "active"), (status.staged, "staged"), (status.canary, "canary")]
    named += [(generation, "refused") for generation in status.refused]
    for generation, state in named:
        if generation is not None:
            family.add_metric([generation, state], 1.0)
    return family


def _live(report: LiveReport, champion: str | None) -> Iterator[Family]:
    """Of champion, canary and the one before: a generation more every few seconds is too much."""
    canary = report.trial.canary if report.trial else None
    arms = {champion: "champion", canary: "canary"}
    former = [one for one in report.generations if one.generation not in arms][-1:]
    lists, ratio = _family(LIVE_LISTS), _family(LIVE_RATIO)
    for one in report.generations:
        arm = arms.get(one.generation, "former" if one in former else "")
        if arm:
            lists.add_metric([one.generation, arm], one.lists)
            if one.rate is not None:
                ratio.add_metric([one.generation, arm], one.rate)
    yield lists
    yield ratio


def _family(metric: Declared) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(metric.name, metric.doc, labels=metric.labels)


def _gauge(metric: Declared, value: float) -> Family:
    family = _family(metric)
    family.add_metric([], value)
    return family


def _info(metric: Declared, values: tuple[str, ...]) -> Family:
    family = _family(metric)
    family.add_metric(values, 1.0)
    return family
