"""What every worker process does before it works: say who it is, wait for what it needs."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import TypeVar

from streamrec.apps.rights import needs, not_granted
from streamrec.core.tasks import RANKING
from streamrec.errors import Unavailable
from streamrec.infra.wire.kafka import full_name
from streamrec.infra.wire.kafka_rights import not_allowed
from streamrec.infra.wire.kafka_topics import partition_counts
from streamrec.ports import WorkerStatus
from streamrec.settings import Settings

log = logging.getLogger(__name__)

RETRY_S = 2.0

Made = TypeVar("Made")


def stop_on_signals() -> threading.Event:
    """Set by SIGTERM or SIGINT from now on. Call it in the main thread."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def retrying(make: Callable[[], Made], stop: threading.Event) -> Made | None:
    """Make it, again and again while something is unavailable; None when told to stop meanwhile."""
    while not stop.is_set():
        try:
            return make()
        except Unavailable as error:
            log.warning("waiting: %s", error)
            stop.wait(max(RETRY_S, error.retry_after_s))
    return None


def partitions_of(settings: Settings, role: str, task: str = RANKING) -> dict[str, int]:
    """Partitions by short name of every topic there is.

    Raises Unavailable if one that the role needs is missing, NotAllowed if we may not use one.
    """
    kafka = settings.kafka
    if rights := not_granted(settings, role, task):
        raise not_allowed(kafka.sasl_username, ", ".join(rights))
    counts = partition_counts(kafka)
    missing = [name for name in needs(role, task).operations if name not in counts]
    if missing:
        names = ", ".join(full_name(kafka, name) for name in missing)
        raise Unavailable(f"no topic {names}: `streamrec topics create` makes them", RETRY_S)
    return counts


def identity(worker_id: str, role: str, now_ms: int, task: str = RANKING) -> WorkerStatus:
    """The first status of this process, as a worker that started just now."""
    host, pid = socket.gethostname(), os.getpid()
    return WorkerStatus(worker_id, role, host, pid, now_ms, now_ms, task=task)
