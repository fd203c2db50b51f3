"""What of a generation is said in a run: parameters, numbers, tags.

Knows the manifest. Does not know whose run it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from streamrec.core.release.manifest import Manifest
from streamrec.ports import Sealed

GENERATION, PARENT, OUTCOME = "streamrec.generation", "streamrec.parent", "streamrec.outcome"
PROJECT = "streamrec"
LONGEST = 5_000
"""Characters of a text; no tool takes texts of any length."""

_NOT_IN_NAMES = re.compile(r"[^\w./ -]")


def parameters(manifest: Manifest) -> dict[str, str]:
    """What shaped it: settings by their dotted names, base model, what the head reads."""
    given = {
        "base_model": manifest.base_model,
        "encoder_version": manifest.encoder_version,
        "feature_set": manifest.feature_set,
        **manifest.settings,
    }
    return {name: str(value)[:LONGEST] for name, value in _flat("", given)}


def numbers(manifest: Manifest, latest: Mapping[str, float]) -> dict[str, float]:
    """The gate's, with ``latest``: where the curves stand, by their names."""
    gate = manifest.gate or {}
    found: dict[str, Any] = {
        **latest,
        "examples": manifest.training.get("examples"),
        "gate/examples": gate.get("examples"),
    }
    for name, compared in {**gate.get("metrics", {}), **gate.get("references", {})}.items():
        found |= {f"gate/{name}/{part}": value for part, value in compared.items()}
    found |= {f"gate/{name}": value for name, value in gate.get("norms", {}).items()}
    return {
        _NOT_IN_NAMES.sub("_", name): float(value)
        for name, value in found.items()
        if value is not None
    }


def tags(sealed: Sealed) -> dict[str, str]:
    """Its name, its parent, the verdict with its reasons, and every digest of the registry."""
    manifest = sealed.manifest
    gate = manifest.gate
    said = {
        GENERATION: manifest.generation,
        PARENT: manifest.parent or "",
        "streamrec.verdict": _verdict(gate),
        "streamrec.reasons": "; ".join(gate["reasons"]) if gate else "",
        "streamrec.champion": str(gate["champion"]) if gate else "",
        "streamrec.digest": sealed.digest,
        "streamrec.digest.base": manifest.base_digest,
        **{f"streamrec.digest.{name}": digest for name, digest in manifest.files.items()},
    }
    return {name: text[:LONGEST] for name, text in said.items() if text}


def _verdict(gate: Mapping[str, Any] | None) -> str:
    if gate is None:
        return "first champion"
    return "accepted" if gate["accepted"] else "rejected"


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value
