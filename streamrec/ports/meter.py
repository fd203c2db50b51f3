"""What stages measure for monitoring: numbers under names, and nobody's until somebody listens.

What a worker tells the fleet (``WorkerStatus.gauges``) is not measured again here: only what needs
a label or a distribution.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum


class Counted(StrEnum):
    """Things that are counted, each with the labels it has."""

    EVENTS = "events"  # kind
    DEAD_LETTERS = "dead letters"  # topic, code
    LISTS = "lists"  # trigger
    EMPTY_LISTS = "empty lists"
    FAULTS = "faults"
    VERDICTS = "verdicts"  # verdict, reason
    RELEASES = "releases"  # outcome
    CANARIES = "canaries"  # ending
    CONTROL_RECORDS = "control records"  # action, by
    HTTP_REQUESTS = "http requests"  # route, method, status
    KEYS_FILES = "keys files"  # outcome


class Timed(StrEnum):
    """Things of which it is measured how long they take, in seconds, with the labels they have."""

    STAGE = "stage"  # stage
    ANSWER = "answer"  # trigger
    LEARNED = "learned"
    FRESHNESS = "freshness"
    HTTP = "http"  # route


class Meter:
    """Takes measures. These are for nobody."""

    def count(self, what: Counted, times: float = 1, **labels: str) -> None:
        """So many more."""

    def observe(self, what: Timed, seconds: Iterable[float], **labels: str) -> None:
        """Each took so long."""

    def timed(self, stage: str) -> AbstractContextManager[object]:  # noqa: ARG002 - for nobody
        """Observes how long the block takes, as ``Timed.STAGE``."""
        return nullcontext()
