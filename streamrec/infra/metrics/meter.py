"""What stages measure, as Prometheus counts it. Of one process, made after any fork."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Counter, Histogram

from streamrec.infra.metrics.declared import COUNTED, TIMED, Declared
from streamrec.ports import Counted, Meter, Timed


class PrometheusMeter(Meter):
    """Any thread may call it. What a role has is there from the start, at 0."""

    def __init__(self, registry: CollectorRegistry, role: str) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._counters: dict[Counted, Counter] = {}
        self._histograms: dict[Timed, Histogram] = {}
        for what, metric in COUNTED.items():
            for values in metric.known.get(role, ()):
                _child(self._counter(what), metric, values)
        for span, metric in TIMED.items():
            for values in metric.known.get(role, ()):
                _child(self._histogram(span), metric, values)

    def count(self, what: Counted, times: float = 1, **labels: str) -> None:
        """So many more."""
        if times:
            counter = self._counter(what)
            (counter.labels(**labels) if labels else counter).inc(times)

    def observe(self, what: Timed, seconds: Iterable[float], **labels: str) -> None:
        """Each took so long; what a clock that went back says is 0."""
        histogram = self._histogram(what)
        child = histogram.labels(**labels) if labels else histogram
        for one in seconds:
            child.observe(max(0.0, one))

    def timed(self, stage: str) -> AbstractContextManager[object]:
        """Observes how long the block takes, as ``Timed.STAGE``."""
        return self._histogram(Timed.STAGE).labels(stage=stage).time()

    def _counter(self, what: Counted) -> Counter:
        with self._lock:
            if what not in self._counters:
                it = COUNTED[what]
                self._counters[what] = Counter(it.name, it.doc, it.labels, registry=self._registry)
            return self._counters[what]

    def _histogram(self, what: Timed) -> Histogram:
        with self._lock:
            if what not in self._histograms:
                it = TIMED[what]
                self._histograms[what] = Histogram(
                    it.name, it.doc, it.labels, registry=self._registry, buckets=it.buckets_s
                )
            return self._histograms[what]


def _child(metric: Counter | Histogram, it: Declared, values: Iterable[str]) -> None:
    if it.labels:
        metric.labels(*values)
