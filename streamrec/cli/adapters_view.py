"""How generations, control records and confirmations look to people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from streamrec.apps.release_fields import Slot
from streamrec.cli.console import ago, table, words
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import ControlRecord

if TYPE_CHECKING:
    from streamrec.apps.undo import Undo
    from streamrec.loop.releasing.fleet_watch import SwapReport


def listing(slots: Sequence[Slot], now_ms: int) -> RenderableType:
    """One line a generation."""
    rows = [row for slot in slots for row in _rows(slot, now_ms)]
    columns = ["task", "generation", "state", "parent", "age>", "events>", "gate"]
    return table("", columns, rows) if rows else words("no generation yet")


def _rows(slot: Slot, now_ms: int) -> Iterator[tuple[object, ...]]:
    for name, manifest in slot.manifests.items():
        told: tuple[object, ...] = ("?", "?", "?", "its manifest cannot be read")
        if manifest is not None:
            age = ago(now_ms - manifest.created_at_ms)
            told = (manifest.parent, age, trained_events(manifest), verdict(manifest.gate))
        yield (slot.task, name, slot.fate.get(name, "candidate"), *told)


def trained_events(manifest: Manifest) -> int:
    """Source events it was trained on since its parent."""
    return sum(to - start for start, to in manifest.offsets.values())


def verdict(gate: Mapping[str, Any] | None) -> str:
    """The gate's decision in a few words."""
    if gate is None:
        return "the first one: nothing to be compared with"
    if not gate["accepted"]:
        return "; ".join(gate["reasons"])
    metric = gate["metrics"].get("mrr")
    if metric is None:
        return f"accepted on {gate['examples']} examples"
    return (
        f"accepted: MRR {metric['candidate']:.3f} against {metric['champion']:.3f} "
        f"on {gate['examples']} examples"
    )


def detail(manifest: Manifest, records: Sequence[ControlRecord]) -> RenderableType:
    """Everything about one generation."""
    offsets = ", ".join(f"{p}: {start}-{to}" for p, (start, to) in sorted(manifest.offsets.items()))
    facts = [
        ("parent", manifest.parent),
        ("made", moment(manifest.created_at_ms)),
        ("events", f"{trained_events(manifest):,} since its parent ({offsets or 'none'})"),
        ("never learned", never_learned(manifest)),
        ("base model", f"{manifest.base_model} ({manifest.base_digest[:12]}…)"),
        ("encoder", manifest.encoder_version),
        ("files", ", ".join(f"{name} {digest[:8]}" for name, digest in manifest.files.items())),
        ("gate", verdict(manifest.gate)),
    ]
    parts: list[RenderableType] = [table(manifest.generation, ["", ""], facts)]
    if manifest.gate and manifest.gate["metrics"]:
        parts += [Text(), _metrics(manifest.gate)]
    if manifest.gate and manifest.gate.get("references"):
        parts += [Text(), _references(manifest.gate)]
    if manifest.gate and manifest.gate["norms"]:
        parts += [Text(), _norms(manifest.gate)]
    if records:
        rows = [(moment(r.at_ms), r.action.value, r.actor, r.reason) for r in records]
        parts += [Text(), table("control log", ["when", "what", "who", "why"], rows)]
    return Group(*parts)


def never_learned(manifest: Manifest) -> str:
    """Holes of its account, and what it was told not to learn."""
    holes = manifest.training.get("holes", {})
    spans = [f"{p}: {start}-{end}" for p, found in sorted(holes.items()) for start, end in found]
    ranges = [str(Quarantine(**at)) for at in manifest.training.get("quarantine", ())]
    told = [f"quarantined for good: {', '.join(ranges)}"] if ranges else []
    return "; ".join([", ".join(spans) or "nothing was left out", *told])


def _metrics(gate: Mapping[str, Any]) -> RenderableType:
    rows = [
        (
            name,
            _shown(m["candidate"]),
            _shown(m["champion"]),
            _shown(m["difference"]),
            _shown(m["standard_error"]),
            m["n"],
        )
        for name, m in gate["metrics"].items()
    ]
    columns = ["metric", "candidate>", "champion>", "better by>", "±>", "examples>"]
    return table(f"judged against {gate['champion']}", columns, rows)


def _references(gate: Mapping[str, Any]) -> RenderableType:
    """What the candidate must not have sunk below, whatever the champion does."""
    names = {"anchor": f"{gate.get('anchor')}, a former champion"}
    rows = [
        (
            names.get(name, name),
            _shown(m["candidate"]),
            _shown(m["champion"]),
            _shown(m["difference"]),
            _shown(m["standard_error"]),
            m["n"],
        )
        for name, m in gate["references"].items()
    ]
    columns = ["mrr beside", "candidate>", "its own>", "better by>", "±>", "examples>"]
    return table("judged beside others", columns, rows)


def _norms(gate: Mapping[str, Any]) -> RenderableType:
    """How far the candidate is from the champion."""
    meanings = {"kl": "kl of its lists to the champion's, nats"}
    rows = [(meanings.get(name, name), _shown(norm)) for name, norm in gate["norms"].items()]
    return table("how far it moved", ["", "by>"], rows)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def moment(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def undo_fields(planned: Undo) -> dict[str, Any]:
    """What the learner must do, as JSON fields."""
    return {"relearn_from": planned.to, "quarantine": [asdict(at) for at in planned.ranges]}


def undo_words(planned: Undo) -> str:
    ranges = ", ".join(map(str, planned.ranges))
    return (
        f"the trainer goes back to {planned.to} and learns on without {ranges}; "
        "`streamrec adapters log` and `adapters list` show what comes of it"
    )


def swap_words(report: SwapReport, verb: str) -> list[str]:
    """Who confirmed, and who did not."""
    if report.complete and not report.confirmed_ms:
        return [f"{verb} {report.generation}; no serving worker is up, the next ones will obey"]
    if report.complete:
        return [
            f"{verb} {report.generation}; confirmed by all {len(report.confirmed_ms)} serving "
            f"workers after {report.took_ms} ms"
        ]
    lines = [f"{verb} {report.generation}, but not everywhere:"]
    for worker, why in report.refused.items():
        lines.append(f"  {worker} refuses it and keeps what it has: {why}")
    for worker in report.silent:
        lines.append(f"  {worker} has not confirmed; `streamrec status` tells when it does")
    if report.problem:
        lines.append(f"  who has confirmed is not known: {report.problem}")
    return lines
