"""Fuzzed inputs through every consumer of the loop, among good neighbours.

    python -m tests.fuzz [--inputs 10000] [--seed 0] [--only events ...]

Each consumer runs its real decoding and its real stage over fakes. Good inputs are mutated:
bits, cuts, copies and splices, and odd values put into decoded fields. For every 50 of them 10
good neighbours are mixed in. Exit code 1 when anything crashed, a neighbour was lost, or an
input vanished without a reason.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time

from rich.console import Console

from streamrec.cli.console import table
from tests.fuzz.campaign import campaign
from tests.fuzz.consumers import CONSUMERS


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=10_000, help="for each consumer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], help="consumers, by name")
    given = parser.parse_args()
    logging.disable(logging.NOTSET)
    logging.getLogger("streamrec").setLevel(logging.WARNING)
    logging.getLogger().addHandler(logging.NullHandler())
    chosen = [c for c in CONSUMERS if not given.only or c.name in given.only]
    if not chosen:
        parser.error(f"consumers: {', '.join(c.name for c in CONSUMERS)}")
    rows, good = [], True
    for make in chosen:
        start = time.perf_counter()
        report = campaign(make, given.inputs, given.seed)
        good &= report.good
        rows.append(
            (
                report.consumer, report.inputs, report.refused, report.handled, report.neighbours,
                report.crashed, len(report.lost), len(report.unexplained),
                f"{time.perf_counter() - start:.1f}",
            )
        )  # fmt: skip
        for what, data in report.crashes.items():
            sys.stderr.write(f"{report.consumer}: {what}\n    {data[:200]!r}\n")
        for data in report.unexplained[:5]:
            sys.stderr.write(f"{report.consumer}: vanished: {data[:200]!r}\n")
        if report.lost:
            sys.stderr.write(f"{report.consumer}: neighbours lost: {report.lost[:10]}\n")
    columns = [
        "consumer", "fuzzed>", "refused>", "taken>", "neighbours>", "crashes>", "lost>",
        "vanished>", "s>",
    ]  # fmt: skip
    Console().print(table("", columns, rows))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
