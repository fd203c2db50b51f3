"""A process' /metrics, /healthz and /readyz, asked over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection, HTTPResponse

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from streamrec.errors import UserError
from streamrec.infra.metrics.server import MonitoringServer, check_free
from streamrec.infra.metrics.vitals import KAFKA, REDIS, STUCK_S, Vitals
from streamrec.infra.processes.server_process import free_port
from streamrec.ports import WorkerStatus

HOST = "127.0.0.1"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Seconds:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def worker(role: str, **told: object) -> WorkerStatus:
    return replace(WorkerStatus(f"{role}-1", role, "host", 1, 0, 0), **told)


def reached(now_s: Seconds | None = None) -> Vitals:
    vitals = Vitals(now_s or Seconds())
    vitals.reach(KAFKA)
    vitals.reach(REDIS)
    return vitals


@contextmanager
def serving(vitals: Vitals) -> Iterator[HTTPConnection]:
    registry = CollectorRegistry()
    Counter("streamrec_seen", "Things seen", registry=registry).inc(3)
    with MonitoringServer(HOST, free_port(), registry, vitals) as server:
        yield HTTPConnection(HOST, server.port, timeout=10)


def get(connection: HTTPConnection, path: str, accept: str = "*/*") -> tuple[HTTPResponse, str]:
    connection.request("GET", path, headers={"Accept": accept})
    answer = connection.getresponse()
    return answer, answer.read().decode()


def test_metrics_are_openmetrics_for_whoever_asks_for_it() -> None:
    with serving(Vitals()) as connection:
        answer, text = get(connection, "/metrics", OPENMETRICS)
        (family,) = text_string_to_metric_families(text)
        plain, plain_text = get(connection, "/metrics")
    assert answer.getheader("Content-Type", "").startswith("application/openmetrics-text")
    assert family.name == "streamrec_seen"
    assert {s.name: s.value for s in family.samples}["streamrec_seen_total"] == 3
    assert plain.getheader("Content-Type", "").startswith("text/plain; version=0.0.4")
    assert "streamrec_seen_total 3.0" in plain_text


def test_another_path_says_what_there_is() -> None:
    with serving(Vitals()) as connection:
        answer, text = get(connection, "/")
    assert answer.status == 404
    assert "/metrics, /healthz and /readyz" in text


def test_a_process_that_starts_is_alive_and_not_ready() -> None:
    with serving(Vitals()) as connection:
        alive, _ = get(connection, "/healthz")
        ready, why = get(connection, "/readyz")
    assert alive.status == 200
    assert ready.status == 503
    assert why == "not ready\nKafka: not reached yet\nRedis: not reached yet\nstarting\n"


def test_a_main_loop_that_is_stuck_is_not_alive() -> None:
    now_s = Seconds()
    vitals = reached(now_s)
    with serving(vitals) as connection:
        vitals.turn()
        now_s.now += STUCK_S
        assert get(connection, "/healthz")[0].status == 200
        now_s.now += 1
        answer, why = get(connection, "/healthz")
        assert answer.status == 503
        assert "has not come round for 601 s" in why
        vitals.turn()
        assert get(connection, "/healthz")[0].status == 200


def test_a_worker_that_waits_for_kafka_is_alive_and_not_ready() -> None:
    vitals = reached()
    vitals.turn()
    vitals.tell(worker("features", gauges={"partitions": 4.0}))
    with serving(vitals) as connection:
        assert get(connection, "/readyz")[1] == "ready\n"
        vitals.miss(KAFKA, "nobody at kafka:9092")
        answer, why = get(connection, "/readyz")
        assert (answer.status, why) == (503, "not ready\nKafka: nobody at kafka:9092\n")
        assert get(connection, "/healthz")[0].status == 200


def test_a_server_that_is_silent_is_away() -> None:
    now_s = Seconds()
    vitals = reached(now_s)
    vitals.tell(worker("serving", active="g000001-aa"))
    now_s.now += 20
    assert vitals.unready() == ["Redis: not heard of for 20 s"]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (worker("features", gauges={"partitions": 0.0}), "no partition is assigned to it"),
        (worker("trainer"), "does not train yet: waits for its turn, or for the catalogue"),
        (worker("serving"), "no generation answers here yet"),
        (
            worker("serving", refused={"g000002-bb": "signed by nobody"}),
            "no generation answers here yet: g000002-bb is refused: signed by nobody",
        ),
    ],
)
def test_ready_is_what_the_role_demands(status: WorkerStatus, why: str) -> None:
    vitals = reached()
    vitals.tell(status)
    assert vitals.unready() == [why]


def test_a_port_that_is_taken_is_a_clear_error() -> None:
    with serving(Vitals()) as connection:
        told = f"metrics cannot be served at {HOST}:{connection.port} "
        with pytest.raises(UserError, match=told) as error:
            check_free(HOST, connection.port)
    assert "STREAMREC_METRICS_PORT" in str(error.value)


def test_an_address_that_is_nobodys_is_a_clear_error() -> None:
    with pytest.raises(UserError, match="STREAMREC_METRICS_HOST"):
        check_free("203.0.113.1", free_port())
