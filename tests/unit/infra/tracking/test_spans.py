"""Spans as OpenTelemetry sends them, to a collector of ours or to nobody."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from streamrec.errors import UserError
from streamrec.infra.tracking.tracing import open_tracer
from streamrec.ports import NO_TRACER, Spans, Tracer, sampled
from streamrec.settings import Settings
from tests.harness.collector import collector

FOREIGN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ON = replace(Settings(), tracing=True)


def tracer() -> Tracer:
    return open_tracer(ON, "serving", "serving-1")


def test_a_span_arrives_with_its_parent_its_links_and_what_is_known_of_it(monkeypatch) -> None:
    with collector() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        ours = tracer()
        with ours.span(Spans.FOLD, FOREIGN, partition=3) as fold:
            inner = ours.span(Spans.SERVE, fold.traceparent, [FOREIGN, ""])
            inner.note(generation="g1")
            inner.end()
        with pytest.raises(ValueError, match="bad"), ours.span(Spans.GATE):
            raise ValueError("bad")
        ours.close()
    serve, folded, gate = found.spans
    assert folded.service == "streamrec-serving"
    assert (folded.trace, folded.parent) == (FOREIGN[3:35], FOREIGN[36:52])
    assert folded.attributes == {"streamrec.partition": 3}
    assert fold.traceparent == f"00-{folded.trace}-{folded.span}-01"
    assert (serve.parent, serve.links) == (folded.span, (FOREIGN[36:52],))
    assert serve.attributes == {"streamrec.generation": "g1"}
    assert gate.failed
    assert gate.trace not in ("", folded.trace)
    assert not serve.failed


def test_how_many_are_kept_and_whose_they_are_the_sdk_reads_itself(monkeypatch) -> None:
    with collector() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "films")
        ours = tracer()
        dropped = ours.span(Spans.FOLD)
        dropped.end()
        ours.span(Spans.FOLD, FOREIGN).end()
        ours.close()
    assert not sampled(dropped.traceparent)
    assert [(span.service, span.trace) for span in found.spans] == [("films", FOREIGN[3:35])]


def test_a_collector_that_is_away_is_said_and_holds_nobody_up(monkeypatch, caplog) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    ours = tracer()
    ours.span(Spans.FOLD).end()
    with caplog.at_level(logging.WARNING):
        ours.close()
    assert "traces are lost: nobody takes them at http://127.0.0.1:1/v1/traces" in caplog.text


def test_off_nothing_of_it_is_loaded_and_a_missing_package_is_named() -> None:
    assert open_tracer(Settings(), "serving", "serving-1") is NO_TRACER
    with pytest.raises(UserError, match=r"pip install 'streamrec\[tracing\]'"):
        open_tracer(ON, "serving", "serving-1", installed=lambda name: "exporter" not in name)
