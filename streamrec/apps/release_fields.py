"""Generations, control records and confirmations as JSON fields: on the command line and over HTTP.

Loads nothing that connects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import ControlRecord, RegistryState

if TYPE_CHECKING:
    from streamrec.loop.releasing.fleet_watch import SwapReport


def fates(state: RegistryState, records: Iterable[ControlRecord]) -> dict[str, str]:
    """What became of each generation that the control log knows; the last word counts."""
    found = {record.generation: record.action.value for record in records if record.generation}
    found |= dict.fromkeys(state.history, "former champion")
    if state.staged:
        found[state.staged] = "staged"
    if state.canary:
        found[state.canary.generation] = f"canary for {state.canary.share:.0%}"
    if state.champion:
        found[state.champion] = "champion, pinned" if state.pin else "champion"
    return found


@dataclass(frozen=True, slots=True)
class Slot:
    """What the log and the registry hold of one task. ``manifests``: None if unreadable."""

    task: str
    state: RegistryState
    fate: Mapping[str, str]
    manifests: Mapping[str, Manifest | None]


def slot_fields(slot: Slot) -> dict[str, Any]:
    """The same as JSON fields."""
    state = slot.state
    return {
        "task": slot.task,
        "revision": state.revision,
        "champion": state.champion,
        "previous": state.previous,
        "staged": state.staged,
        "pinned": state.pin is not None,
        "canary": state.canary and asdict(state.canary),
        "generations": [
            {
                "generation": name,
                "state": slot.fate.get(name, "candidate"),
                "manifest": manifest and asdict(manifest),
            }
            for name, manifest in slot.manifests.items()
        ],
    }


def record_fields(record: ControlRecord) -> dict[str, Any]:
    """A control record as JSON fields."""
    return {
        "action": record.action.value,
        "actor": record.actor,
        "reason": record.reason,
        "at_ms": record.at_ms,
        "revision": record.state.revision,
    }


def swap_fields(report: SwapReport) -> dict[str, Any]:
    """A swap as JSON fields."""
    return {
        "generation": report.generation,
        "revision": report.revision,
        "confirmed_ms": dict(report.confirmed_ms),
        "refused": dict(report.refused),
        "silent": list(report.silent),
        "problem": report.problem,
    }


def manifest_fields(manifest: Manifest, records: Iterable[ControlRecord]) -> dict[str, Any]:
    """One generation: all that it says of itself, and what was done to it."""
    return {"manifest": asdict(manifest), "log": [record_fields(record) for record in records]}


def state_fields(state: RegistryState) -> dict[str, Any]:
    """Whether the champion may be replaced."""
    return {"champion": state.champion, "pinned": state.pin is not None}
