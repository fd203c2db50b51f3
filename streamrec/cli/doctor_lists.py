"""What ``doctor`` says of lists: whether candidates miss much of what the exact ranking shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streamrec.cli.doctor import CheckResult, Finding
from streamrec.ports import WorkerStatus

LEAST = 0.95
"""Recall below which somebody should know."""
ENOUGH = 10
"""Lists without which a mean says little."""


def recall(workers: Sequence[WorkerStatus]) -> Iterator[Finding]:
    """Of the workers that are alive and make lists from candidates."""
    for worker in workers:
        found, lists = worker.gauges.get("recall_at_10"), worker.gauges.get("recall_lists", 0.0)
        if found is None or lists < ENOUGH:
            continue
        said = f"{worker.worker_id}: {found:.3f} of the exact ten best found, in {lists:.0f} lists"
        if found < LEAST:
            remedy = "STREAMREC_SERVING_SCORED=exact, if lists may take longer (docs/capacity.md)"
            yield Finding("lists", CheckResult.NOTE, said, remedy)
        else:
            yield Finding("lists", CheckResult.OK, said)
