"""What lies between two generations, by their manifests.

Parents, offsets, settings and gate reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamrec.core.release.manifest import Manifest
from streamrec.errors import UserError


@dataclass(frozen=True, slots=True)
class Difference:
    """``after`` seen from ``before``."""

    before: str
    after: str
    path: tuple[str, ...]  # from ``after`` down to ``before``, or to where the two part
    common: str | None  # the newest generation both descend from
    offsets: Mapping[str, tuple[int, int]]  # source partition -> how far each had learned
    examples: int  # learned by the generations of ``path``
    settings: Mapping[str, tuple[Any, Any]]
    gate: Mapping[str, tuple[float | None, float | None]]  # each candidate's own numbers


def difference(manifests: Mapping[str, Manifest], before: str, after: str) -> Difference:
    """Raises UserError for a generation that is not there."""
    for name in (before, after):
        if name not in manifests:
            raise UserError(f"{name} is not in the registry; `streamrec adapters list`")
    one, two = manifests[before], manifests[after]
    older = {before, *ancestors(manifests, before)}
    line = [after, *ancestors(manifests, after)]
    common = next((name for name in line if name in older), None)
    path = tuple(line[: line.index(common)] if common in line else line)
    through, since = two.trained_through, one.trained_through
    partitions = sorted({*through, *since}, key=int)
    return Difference(
        before=before,
        after=after,
        path=path,
        common=common,
        offsets={p: (since.get(p, 0), through.get(p, 0)) for p in partitions},
        examples=sum(manifests[name].training.get("examples", 0) for name in path),
        settings=_changed(_flat(one.settings), _flat(two.settings)),
        gate=_gate(one, two),
    )


def ancestors(manifests: Mapping[str, Manifest], generation: str) -> list[str]:
    """Parent, its parent and so on, as far as the registry holds them."""
    found: list[str] = []
    parent = manifests[generation].parent
    while parent is not None and parent in manifests and parent not in found:
        found.append(parent)
        parent = manifests[parent].parent
    return found


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _changed(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = sorted({*one, *two})
    return {n: (one.get(n), two.get(n)) for n in names if one.get(n) != two.get(n)}


def _gate(one: Manifest, two: Manifest) -> dict[str, tuple[float | None, float | None]]:
    ours, theirs = (m.gate["metrics"] if m.gate else {} for m in (one, two))
    return {
        name: (
            ours[name]["candidate"] if name in ours else None,
            theirs[name]["candidate"] if name in theirs else None,
        )
        for name in {**ours, **theirs}
    }
