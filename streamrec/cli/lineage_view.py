"""How reproductions, differences and the control log look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from streamrec.apps import release_fields
from streamrec.cli.adapters_view import moment
from streamrec.cli.console import table, words
from streamrec.core.release.lineage import Difference
from streamrec.core.release.registry import ControlRecord

if TYPE_CHECKING:
    from streamrec.apps.reproduce import Report


def reproduction(report: Report) -> RenderableType:
    """Both digests of every file, and what else is not the same."""
    made = report.made
    rows = [
        (name, then[:16], now[:16], "identical" if then == now else "differs")
        for name, (then, now) in made.digests.items()
    ]
    start, end = made.batches
    title = (
        f"{made.generation} again: {made.examples:,} examples of mini-batches {start} to "
        f"{end - 1}, from {made.parent}"
    )
    parts: list[RenderableType] = [table(title, ["file", "then", "now", ""], rows), Text()]
    if report.elsewhere:
        rows_ = [(name, *pair) for name, pair in report.elsewhere.items()]
        parts += [table("not the same as then", ["", "then", "now"], rows_), Text()]
    if report.distance:
        moved = [(name, f"{far:.2e}") for name, far in report.distance.items()]
        parts += [table("relative distance", ["weights", "‖now - then‖ / ‖then‖>"], moved), Text()]
    parts.append(words("identical" if made.identical else "not identical"))
    return Group(*parts)


def reproduction_fields(report: Report) -> dict[str, Any]:
    made = report.made
    return {
        "generation": made.generation,
        "parent": made.parent,
        "identical": made.identical,
        "batches": list(made.batches),
        "examples": made.examples,
        "digests": {n: {"then": then, "now": now} for n, (then, now) in made.digests.items()},
        "not_the_same": {n: {"then": a, "now": b} for n, (a, b) in report.elsewhere.items()},
        "distance": dict(report.distance),
    }


def difference(found: Difference, weights: Mapping[str, float]) -> RenderableType:
    """What ``after`` has that ``before`` has not."""
    apart = f"they part at {found.common}" if found.common else "they have no ancestor in common"
    direct = found.common == found.before
    facts = [
        ("descends", "in a line" if direct else apart),
        ("generations", " ← ".join(found.path) or "none"),
        ("examples", f"{found.examples:,} learned on the way"),
        *((f"events {p}", f"{a:,} → {b:,} ({b - a:+,})") for p, (a, b) in found.offsets.items()),
    ]
    parts: list[RenderableType] = [table(f"{found.before} → {found.after}", ["", ""], facts)]
    if found.settings:
        rows = [(name, str(a), str(b)) for name, (a, b) in found.settings.items()]
        parts += [Text(), table("settings", ["", "before", "after"], rows)]
    if found.gate:
        gate = [(name, _number(a), _number(b)) for name, (a, b) in found.gate.items()]
        columns = ["metric", "before>", "after>"]
        parts += [Text(), table("as each was judged, on its own examples", columns, gate)]
    moved = [(name, f"{far:.4f}") for name, far in weights.items()]
    parts += [Text(), table("weights", ["", "‖after - before‖ / ‖before‖>"], moved)]
    return Group(*parts)


def history(records: Sequence[ControlRecord]) -> RenderableType:
    """The control log as a table, oldest first."""
    rows = [
        (r.state.revision, moment(r.at_ms), r.action.value, r.generation or "-", r.actor, why(r))
        for r in records
    ]
    columns = ["revision>", "when", "what", "generation", "who", "why"]
    return table("", columns, rows) if rows else words("nothing has been done yet")


def line(record: ControlRecord) -> str:
    """One step as a line."""
    return (
        f"{record.state.revision}  {moment(record.at_ms)}  {record.action.value}  "
        f"{record.generation or '-'}  {record.actor}  {why(record)}"
    )


def why(record: ControlRecord) -> str:
    """The reason; of a relearn, also what is quarantined by now."""
    if record.action.value != "relearn":
        return record.reason
    ranges = ", ".join(map(str, record.state.quarantine))
    return f"{record.reason or 'no reason given'} (never learned: {ranges})"


def record_fields(record: ControlRecord) -> dict[str, Any]:
    """A control record as JSON fields."""
    return release_fields.record_fields(record) | {
        "generation": record.generation,
        "digest": record.digest,
        "champion": record.state.champion,
        "epoch": record.state.epoch,
        "quarantine": [str(at) for at in record.state.quarantine],
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
