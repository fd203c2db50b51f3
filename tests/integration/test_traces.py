"""A loop that is watched: traces at a collector, log lines as JSON, runs in MLflow."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamrec.core import topics
from streamrec.infra.processes import servers_file
from streamrec.infra.wire.kafka import KafkaPublisher, make_consumer
from streamrec.ports import carried
from streamrec.ports.tracing import headers, trace_id
from streamrec.settings import KafkaSettings
from tests.fakes.language_models import save_tiny_model
from tests.harness.collector import Collector, collector
from tests.harness.command_line import CommandLine
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

ITEMS = [{"item_id": f"i{n}", "title": f"title {n}"} for n in range(30)]
FOREIGN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def clicks(count: int, seed: int) -> str:
    rng = random.Random(seed)
    return lines(
        {
            "user_id": f"u{rng.randrange(10)}",
            "item_id": f"i{rng.randrange(30)}",
            "kind": "click",
            "occurred_at": 1_772_000_000 + seed * 1_000 + n,
        }
        for n in range(count)
    )


def lines(values) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


@pytest.fixture
def found() -> Iterator[Collector]:
    with collector() as one:
        yield one


@pytest.fixture
def shell(found: Collector, tmp_path: Path, tmp_path_factory) -> CommandLine:
    model = save_tiny_model("bert", tmp_path_factory.mktemp("model"))
    settings = {
        "STREAMREC_TRACING": "true",
        "STREAMREC_LOG_FORMAT": "json",
        "STREAMREC_TRAINER_TRACKER": "mlflow",
        "STREAMREC_ENCODER_MODEL": model,
        "STREAMREC_ENCODER_THREADS": 1,
        "STREAMREC_TRAINER_RELEASE_EXAMPLES": 40,
        "STREAMREC_TRAINER_GATE_EXAMPLES": 20,
        "STREAMREC_TRAINER_GATE_S": 3,
        "STREAMREC_GATEWAY_PORT": 0,
    }
    shell = CommandLine(settings, tmp_path)
    shell.environment |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": found.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'runs.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return shell


@contextmanager
def listening(shell: CommandLine) -> Iterator[Any]:
    """To recommendations: as they come, with their headers."""
    kafka = KafkaSettings(bootstrap=found_kafka(shell))
    with closing(make_consumer(kafka, [topics.RECOMMENDATIONS], offset_reset="earliest")) as one:
        yield one


def found_kafka(shell: CommandLine) -> str:
    running = servers_file.read(shell.directory / ".streamrec")
    return running.kafka_bootstrap if running else ""


def gateway_url(shell: CommandLine) -> str:
    (log,) = (shell.directory / ".streamrec" / "logs").glob("gateway*.log")
    return re.findall(r"listening on (http://[\d.:]+)", log.read_text())[-1]


def serving(shell: CommandLine) -> bool:
    done = shell.run_here("status", "--json")
    if done.returncode:
        return False
    workers = json.loads(done.stdout)["workers"]
    return {"features", "trainer", "serving"} <= {w["role"] for w in workers} and any(
        w["active"] for w in workers if w["role"] == "serving"
    )


def carried_on(consumer: Any, traces: dict[str, str]) -> dict[str, str]:
    """``traces``: of the lists that have been read, by trace: what their header says."""
    for records in consumer.poll(200).values():
        for record in records:
            traceparent = carried(record.headers)
            traces[trace_id(traceparent)] = traceparent
    return traces


@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of SQLAlchemy, to MLflow
def test_one_trace_leads_from_an_event_to_its_list_and_one_from_mini_batches_to_a_champion(
    shell: CommandLine, found: Collector
) -> None:
    with shell.started("up"):
        eventually(lambda: found_kafka(shell), 60, "the servers")
        assert shell.run("items", "load", "-", stdin=lines(ITEMS)).returncode == 0
        eventually(lambda: serving(shell), 240, "a serving worker with a generation", every_s=0.5)
        with listening(shell) as lists:
            _from_an_event_to_its_list(shell, found, lists)
            _of_somebody_elses_trace(shell, found, lists)
            _of_a_caller_of_the_gateway(shell, found, lists)
        _from_mini_batches_to_a_champion(shell, found)
        champion = shell.json("adapters", "list", here=True)["champion"]
    _said_as_json(shell, champion)
    _has_a_run(shell, champion)


def _from_an_event_to_its_list(shell: CommandLine, found: Collector, lists: Any) -> None:
    sent = shell.run("events", "send", "-", stdin=clicks(1, seed=1))
    assert sent.returncode == 0, sent.stderr
    (send,) = eventually(
        lambda: [s for s in found.named("send") if s.attributes["streamrec.topic"] == "events"]
    )
    traces: dict[str, str] = {}
    eventually(lambda: send.trace in carried_on(lists, traces), what="a list in the event's trace")
    eventually(lambda: found.of(send.trace).keys() >= {"send", "fold", "serve"})
    spans = found.of(send.trace)
    assert {name: spans[name].service for name in ("send", "fold", "serve")} == {
        "send": "streamrec-cli",
        "fold": "streamrec-features",
        "serve": "streamrec-serving",
    }
    assert spans["fold"].parent == send.span
    assert spans["serve"].parent == spans["fold"].span
    assert spans["serve"].attributes["streamrec.generation"].startswith("g000000-")
    assert traces[send.trace] == f"00-{send.trace}-{spans['serve'].span}-{traces[send.trace][-2:]}"


def _of_somebody_elses_trace(shell: CommandLine, found: Collector, lists: Any) -> None:
    """A producer that is none of ours, and traces already."""
    publisher = KafkaPublisher(KafkaSettings(bootstrap=found_kafka(shell)), "foreign")
    event = json.loads(clicks(1, seed=2)) | {"event_id": "theirs"}
    key, value = event["user_id"].encode(), json.dumps(event).encode()
    publisher.publish(topics.EVENTS, key, value, headers(FOREIGN))
    publisher.flush()
    publisher.close()
    traces: dict[str, str] = {}
    eventually(lambda: trace_id(FOREIGN) in carried_on(lists, traces), what="a list in their trace")
    eventually(lambda: found.of(trace_id(FOREIGN)).keys() == {"fold", "serve"})
    assert found.of(trace_id(FOREIGN))["fold"].parent == FOREIGN[36:52]


def _of_a_caller_of_the_gateway(shell: CommandLine, found: Collector, lists: Any) -> None:
    """An event and a request of one trace, over HTTP; and a request of the command line's."""
    theirs = f"00-{'ab' * 16}-{'cd' * 8}-01"
    with httpx.Client(base_url=gateway_url(shell), headers={"traceparent": theirs}) as http:
        event = json.loads(clicks(1, seed=3)) | {"event_id": "over-http"}
        assert http.post("/v1/events", json=event, timeout=60).status_code == 200
        asked = {"user_id": "u1", "wait_s": 30}
        assert http.post("/v1/recommendations", json=asked, timeout=60).status_code == 200
    asked = shell.run("request", "u1", "--json")
    assert asked.returncode == 0, asked.stderr
    (ours,) = eventually(lambda: [s for s in found.named("ask") if s.service == "streamrec-cli"])
    traces: dict[str, str] = {}
    eventually(lambda: carried_on(lists, traces).keys() >= {trace_id(theirs), ours.trace})
    eventually(lambda: found.of(trace_id(theirs)).keys() == {"send", "fold", "ask", "serve"})
    spans = found.of(trace_id(theirs))
    assert spans["send"].service == spans["ask"].service == "streamrec-gateway"
    assert spans["send"].parent == spans["ask"].parent == "cd" * 8


def _from_mini_batches_to_a_champion(shell: CommandLine, found: Collector) -> None:
    seed = 4
    while not _released(found):
        assert seed < 60, "no champion that has learned"
        assert shell.run("events", "send", "-", stdin=clicks(60, seed)).returncode == 0
        seed += 1
    candidate = _released(found)[0]
    inner = [span for span in found.spans if span.parent == candidate.span]
    by_name = {span.name: span for span in inner}
    assert by_name.keys() >= {"learn", "gate", "stage", "activate"}
    assert {span.service for span in inner} == {"streamrec-trainer"}
    assert (
        by_name["activate"].attributes["streamrec.generation"]
        == (candidate.attributes["streamrec.generation"])
    )
    batches = {span.span: span for span in found.named("mini-batch")}
    learned = [batches[link] for span in inner if span.name == "learn" for link in span.links]
    assert learned
    assert {span.service for span in learned} == {"streamrec-features"}
    folds = {span.span: span for span in found.named("fold")}
    events = {folds[link].trace for batch in learned for link in batch.links}
    assert events & {span.trace for span in found.named("send")}


def _released(found: Collector) -> list[Any]:
    ended = found.named("candidate")
    return [span for span in ended if span.attributes.get("streamrec.outcome") == "activated"]


def _said_as_json(shell: CommandLine, champion: str) -> None:
    said = [
        json.loads(line)
        for log in (shell.directory / ".streamrec" / "logs").glob("*.log")
        for line in log.read_text().splitlines()
    ]
    assert {line["role"] for line in said} == {"features", "trainer", "serving", "gateway"}
    about = [line for line in said if line.get("generation") == champion]
    assert {line["role"] for line in about} >= {"trainer", "serving"}
    assert any(line.get("trace_id") for line in about if "activated" in line["message"])


def _has_a_run(shell: CommandLine, champion: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(shell.environment["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("streamrec")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    run = runs[champion]
    assert run.data.tags["streamrec.verdict"] == "accepted"
    assert run.data.params["encoder.adapter"] == "lora"
    assert run.data.tags["mlflow.parentRunId"] == (
        runs[run.data.tags["streamrec.parent"]].info.run_id
    )
