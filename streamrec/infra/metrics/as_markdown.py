"""The table of docs/monitoring.md: ``python -m streamrec.infra.metrics.as_markdown`` prints it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from streamrec.infra.metrics.told import every


def table() -> str:
    """Every metric, by name."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "| metric | labels | of | meaning |"
    yield "|---|---|---|---|"
    for metric in every():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        roles = "every one" if len(metric.roles) == 4 else ", ".join(metric.roles)
        shown = f"`{metric.shown}`" + (" (histogram)" if metric.kind == "histogram" else "")
        yield f"| {shown} | {labels} | {roles} | {metric.doc} |"


if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n")
