"""What ``doctor`` says of replies: how many a template had to make, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from streamrec.cli.doctor import CheckResult, Finding
from streamrec.core.tasks import REPLIES
from streamrec.ports import FALLBACK, WorkerStatus

MANY = 0.1
"""A share of templates that somebody should know of."""


def template_share(workers: Sequence[WorkerStatus]) -> Iterator[Finding]:
    """Of the workers that are alive, since they started."""
    gauges = [worker.gauges for worker in workers if worker.task == REPLIES]
    made = sum(one.get("published", 0.0) for one in gauges)
    if not made:
        return
    fallen: Counter[str] = Counter()
    for one in gauges:
        fallen.update({name: int(n) for name, n in one.items() if name.startswith(FALLBACK)})
    share = fallen.total() / made
    why = ", ".join(f"{name.removeprefix(FALLBACK)} {n:,}" for name, n in fallen.most_common())
    said = f"{made:,.0f} made, {share:.0%} by templates" + (f" ({why})" if why else "")
    if share > MANY:
        remedy = "a model that is away, late or refused: docs/replies.md"
        yield Finding("replies", CheckResult.NOTE, said, remedy)
    else:
        yield Finding("replies", CheckResult.OK, said)
