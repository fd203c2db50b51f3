"""Metrics: their names, and what becomes of a worker's beat and of a stage's measures."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streamrec.core.release.live_report import LiveGeneration, LiveReport, LiveTrial
from streamrec.infra.metrics import told
from streamrec.infra.metrics.beat import BeatCollector
from streamrec.infra.metrics.declared import COUNTED, FEATURES, SERVING, TIMED, TRAINER
from streamrec.infra.metrics.meter import PrometheusMeter
from streamrec.infra.metrics.vitals import Vitals
from streamrec.ports import Counted, Timed, WorkerStatus

WORKER = WorkerStatus("w-1", FEATURES, "host", 1, 0, 0)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(registry: CollectorRegistry) -> Samples:
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(s.name, frozenset(s.labels.items())): s.value for f in families for s in f.samples}


def of(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


def told_by(status: WorkerStatus, vitals: Vitals | None = None) -> Samples:
    vitals, registry = vitals or Vitals(), CollectorRegistry()
    vitals.tell(status)
    registry.register(BeatCollector(vitals))
    return samples(registry)


def test_names_are_conventional() -> None:
    for metric in told.every():
        assert re.fullmatch(r"streamrec_[a-z]+(_[a-z]+)*", metric.name), metric.name
        assert not metric.name.endswith("_total"), "the client adds it"
        assert not re.search(r"_(ms|mb|kb|minutes|percent)$", metric.name), "base units"
        if metric.kind == "histogram":
            assert metric.name.endswith("_seconds")
        assert metric.doc
        assert not metric.doc.endswith(".")


def test_no_label_is_a_person_or_a_thing() -> None:
    labels = {label for metric in told.every() for label in metric.labels}
    assert not labels & {"user", "user_id", "item", "item_id", "query", "partition", "offset"}


def test_everything_that_stages_measure_is_declared() -> None:
    assert set(COUNTED) == set(Counted)
    assert set(TIMED) == set(Timed)


@pytest.mark.parametrize("role", [FEATURES, TRAINER, SERVING])
def test_what_a_role_has_is_there_before_anything_happens(role: str) -> None:
    registry = CollectorRegistry()
    PrometheusMeter(registry, role)
    found = {name for name, _ in samples(registry)}
    for metric in (*COUNTED.values(), *TIMED.values()):
        suffix = "_count" if metric.kind == "histogram" else "_total"
        assert (f"{metric.name}{suffix}" in found) == (role in metric.roles)


def test_what_stages_measure_is_counted() -> None:
    registry = CollectorRegistry()
    meter = PrometheusMeter(registry, SERVING)
    meter.count(Counted.LISTS, 3, trigger="update")
    meter.count(Counted.EMPTY_LISTS, 0)
    meter.observe(Timed.ANSWER, [0.02, -5.0], trigger="update")
    with meter.timed("list"):
        pass
    found = samples(registry)
    assert of(found, "streamrec_lists_total", trigger="update") == 3
    assert of(found, "streamrec_empty_lists_total") == 0
    assert of(found, "streamrec_answer_seconds_count", trigger="update") == 2
    assert of(found, "streamrec_answer_seconds_sum", trigger="update") == 0.02
    assert of(found, "streamrec_stage_seconds_count", stage="list") == 1


def test_a_feature_worker_s_beat() -> None:
    gauges = {
        "lag": 7.0, "lag/events": 5.0, "lag/items": 2.0, "late_clicks": 1.0, "examples": 40.0,
        "watermark_ms": 1_500.0, "clock/0/ahead": 3.0,
    }  # fmt: skip
    found = told_by(replace(WORKER, gauges=gauges))
    assert of(found, "streamrec_worker_info", worker="w-1", role=FEATURES, task="ranking") == 1
    assert of(found, "streamrec_consumer_lag_records", topic="events") == 5
    assert of(found, "streamrec_consumer_lag_records", topic="items") == 2
    assert of(found, "streamrec_late_events_total", kind="click") == 1
    assert of(found, "streamrec_examples_made_total") == 40
    assert of(found, "streamrec_event_time_timestamp_seconds") == 1.5
    assert not any("clock" in name for name, _ in found)


def test_a_trainer_s_examples_are_those_it_learned() -> None:
    gauges = {"examples": 40.0, "lag": 3.0, "loss_listwise": 6.5, "steps": 9.0}
    found = told_by(replace(WORKER, role=TRAINER, gauges=gauges))
    assert of(found, "streamrec_examples_learned_total") == 40
    assert of(found, "streamrec_examples_made_total") is None
    assert of(found, "streamrec_consumer_lag_records", topic="training-batches") == 3
    assert of(found, "streamrec_training_loss", loss="listwise") == 6.5
    assert of(found, "streamrec_training_steps_total", part="head") == 9


def test_the_generations_of_a_serving_worker() -> None:
    status = replace(WORKER, role=SERVING, active="g2", staged="g3", refused={"g4": "unsigned"})
    found = told_by(status)
    states = {dict(labels)["state"]: dict(labels)["generation"]
              for name, labels in found if name == "streamrec_generation_info"}  # fmt: skip
    assert states == {"active": "g2", "staged": "g3", "refused": "g4"}


def test_of_many_generations_only_three_are_told() -> None:
    rows = [LiveGeneration(f"g{n}", 10, 5, n, 0, None, None, 0.0) for n in range(6)]
    trial = LiveTrial("g5", "g3", 0, "open", 0.0, 0.0, 0.0, "")
    vitals = Vitals()
    vitals.live = LiveReport(0, tuple(rows), trial)
    found = told_by(replace(WORKER, role=TRAINER, active="g3"), vitals)
    ratios = {
        (dict(labels)["arm"], dict(labels)["generation"]): value
        for (name, labels), value in found.items()
        if name == "streamrec_live_click_ratio"
    }
    assert ratios == {("champion", "g3"): 0.3, ("canary", "g5"): 0.5, ("former", "g4"): 0.4}


def test_what_is_told_is_declared() -> None:
    names = {metric.name for metric in told.every()}
    beat = replace(WORKER, role=SERVING, active="g2", gauges={"unmet_filters": 1.0, "swaps": 2.0})
    found = {name.removesuffix("_total") for name, _ in told_by(beat)}
    assert {"streamrec_lists_unmet", "streamrec_swaps"} <= found <= names
