"""What a person sees of a file that is loaded: how far it is, what came of it, the first rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from streamrec.cli.console import ago, out, say, table

if TYPE_CHECKING:
    from streamrec.loop.ingesting.send import BadLine, GoodRow, SendReport

SHOWN_REASONS = 10
LONGEST_CELL = 60
BEHIND_MS = 3_600_000
"""Rows that are out of order by less are no reason to speak."""


@dataclass(frozen=True, slots=True)
class HowFar:
    """``of``: 0 where nobody knows."""

    report: SendReport
    seconds: float
    done: float
    of: float
    unit: str


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came of it. ``unseen``: columns that were named and that no row has had."""

    topic: str
    name: str
    told: str
    report: SendReport
    dry_run: bool
    seconds: float
    sorted: bool
    ignored: Sequence[str]
    unseen: Sequence[str]
    told_of: Sequence[str] = ()  # by whoever read it


def rate(at: HowFar) -> str:
    """Rows so far, and how many a second."""
    report = at.report
    refused = f", {report.refused:,} refused" if report.refused else ""
    return f"{report.rows:,} rows{refused}, {report.rows / max(at.seconds, 1e-9):,.0f} a second"


def progress(at: HowFar) -> str:
    """One line, with the time left."""
    if not at.of or not at.done:
        return rate(at)
    left_ms = at.seconds * max(0.0, at.of - at.done) / at.done * 1000
    return f"{rate(at)}; {at.done:,.0f} of {at.of:,.0f} {at.unit}, {ago(left_ms)} left"


def how_to_go_on(report: SendReport, skipped: int, *, resumable: bool) -> str:
    """After it was ended early."""
    again = "sending it again changes nothing of what was sent"
    if not resumable:
        return f"stopped: {report.sent:,} handed to Kafka; start it again: {again}"
    rows = skipped + report.acknowledged
    return f"stopped: the first {rows:,} rows are done; go on with --skip {rows}, or anew: {again}"


def show(result: LoadResult, shown: Sequence[GoodRow]) -> None:
    """The first rows of a dry run, then what was sent or would be, and what to think of."""
    report = result.report
    if shown:
        out.print(f"{result.name}, {result.told}: the first rows, as they would be sent")
        out.print(_preview(shown))
    count, done = (report.good, "would be sent") if result.dry_run else (report.sent, "sent")
    left_out = f", {report.left_out:,} left out" if report.left_out else ""
    say(f"{count:,} {result.topic} {done}, {report.refused:,} refused{left_out}")
    if report.refused > len(report.reasons):
        for reason, times in report.reasons.most_common(SHOWN_REASONS):
            say(f"  {times:,} × {reason}")
    if result.seconds > 2:
        say(f"  {report.rows:,} rows in {ago(result.seconds * 1000)}")
    for note in notes(result):
        say(note)


def notes(result: LoadResult) -> list[str]:
    """What nobody refuses, and somebody may not have meant."""
    found = [*result.told_of]
    report = result.report
    if result.ignored:
        found.append(f"columns that are no field: {', '.join(result.ignored)} (--map FIELD=COLUMN)")
    if result.unseen:
        found.append(f"no row has {', '.join(result.unseen)}, named by --map")
    if report.earliest_ms is not None and report.latest_ms is not None:
        found.append(f"they happened {_moment(report.earliest_ms)} to {_moment(report.latest_ms)}")
    if report.most_behind_ms > BEHIND_MS and not result.sorted:
        found.append(
            f"{report.behind:,} of them are earlier than one before them, by up to "
            f"{ago(report.most_behind_ms)}: what is days late may be refused later, and learned in "
            "the wrong order; --sort sends them as they happened"
        )
    return found


def as_fields(
    result: LoadResult, shown: Sequence[GoodRow], refused: Sequence[BadLine]
) -> dict[str, Any]:
    """For ``--json``."""
    report = result.report
    listed = [{"line": bad.number, "reason": bad.reason} for bad in refused]
    found: dict[str, Any] = {"topic": result.topic, "format": result.told}
    if result.dry_run:
        rows = [{"line": row.number, **_fields(row.value)} for row in shown]
        found |= {"dry_run": True, "would_send": report.good, "first": rows}
    else:
        found["sent"] = report.sent
    return found | {
        "refused": listed,
        "refused_in_all": report.refused,
        "refused_by_reason": dict(report.reasons.most_common()),
        "left_out": report.left_out,
        "notes": notes(result),
    }


def _preview(shown: Sequence[GoodRow]) -> Any:
    rows = [_fields(row.value) for row in shown]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [
        [row.number, *(_cell(fields.get(name)) for name in columns)]
        for row, fields in zip(shown, rows, strict=True)
    ]
    return table("", ["line>", *columns], cells)


def _fields(value: Any) -> dict[str, Any]:
    """Those that say something; a time as people write it."""
    found = {k: v for k, v in asdict(value).items() if v is not None and v is not True}
    found = {k: v for k, v in found.items() if v not in ("", (), {})}
    if "occurred_at_ms" in found:
        at = _moment(found["occurred_at_ms"])
        found = {("occurred_at" if k == "occurred_at_ms" else k): v for k, v in found.items()}
        found["occurred_at"] = at
    return found


def _moment(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    precise = "milliseconds" if at_ms % 1000 else "seconds"
    return moment.isoformat(sep=" ", timespec=precise).replace("+00:00", "Z")


def _cell(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, list | tuple | Mapping):
        text = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, float):
        text = f"{value:g}"
    else:
        text = str(value)
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"
