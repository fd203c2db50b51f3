"""What monitoring asks of a process, put together: made in the process itself, after any fork."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from prometheus_client import (
    GC_COLLECTOR,
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
)

from streamrec.errors import Unavailable
from streamrec.infra.metrics.beat import BeatCollector
from streamrec.infra.metrics.meter import PrometheusMeter
from streamrec.infra.metrics.server import MonitoringServer
from streamrec.infra.metrics.vitals import REDIS, Vitals
from streamrec.infra.stores.fleet import RedisFleet
from streamrec.ports import Meter, WorkerStatus
from streamrec.settings import MetricsSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Monitor:
    """Of one process: its registry of metrics, and its health."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    vitals: Vitals = field(default_factory=Vitals)
    meter: Meter = Meter()


def new_monitor(role: str) -> Monitor:
    """Of this process."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry, vitals = CollectorRegistry(), Vitals()
    for collector in (GC_COLLECTOR, ProcessCollector(registry=None), BeatCollector(vitals)):
        registry.register(collector)
    return Monitor(registry, vitals, PrometheusMeter(registry, role))


@contextmanager
def monitored(settings: MetricsSettings, monitor: Monitor) -> Iterator[None]:
    """Answers monitoring as long as the block, if a port is set.

    Raises UserError when nothing can listen there.
    """
    if not settings.port:
        yield
        return
    with MonitoringServer(settings.host, settings.port, monitor.registry, monitor.vitals) as server:
        log.info("metrics at http://%s:%d/metrics", settings.host, server.port)
        yield


class WatchedFleet:
    """``ports.Fleet`` over Redis, whose beats are what this process knows of itself."""

    def __init__(self, fleet: RedisFleet, vitals: Vitals) -> None:
        self._fleet, self._vitals = fleet, vitals

    def beat(self, status: WorkerStatus) -> None:
        """As the fleet's own. Raises Unavailable."""
        self._vitals.tell(status)
        try:
            self._fleet.beat(status)
        except Unavailable as error:
            self._vitals.miss(REDIS, error)
            raise
        self._vitals.reach(REDIS)

    def leave(self, worker_id: str) -> None:
        """As the fleet's own."""
        self._fleet.leave(worker_id)

    def workers(self) -> Iterator[WorkerStatus]:
        """As the fleet's own. Raises Unavailable."""
        return self._fleet.workers()
