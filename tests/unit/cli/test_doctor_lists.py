"""What is said of lists that are made from candidates."""

from __future__ import annotations

from dataclasses import replace

from streamrec.cli.doctor import CheckResult
from streamrec.cli.doctor_lists import recall
from streamrec.ports import WorkerStatus

WORKER = WorkerStatus(
    worker_id="serving-1", role="serving", host="h", pid=1, started_at_ms=0, beat_at_ms=0
)


def measured(found: float, lists: float) -> list[CheckResult]:
    gauges = {"recall_at_10": found, "recall_lists": lists}
    return [one.verdict for one in recall([replace(WORKER, gauges=gauges)])]


def test_a_worker_whose_candidates_miss_much_is_named() -> None:
    assert measured(0.80, 50) == [CheckResult.NOTE]
    assert measured(0.99, 50) == [CheckResult.OK]


def test_nothing_is_said_of_few_lists_or_none() -> None:
    assert measured(0.5, 2) == []
    assert list(recall([WORKER])) == []
