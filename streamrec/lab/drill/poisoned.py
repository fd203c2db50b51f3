"""A generation that ranks upside down, made from the champion: what a fooled gate would pass."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file, save_file

from streamrec.core.release.manifest import Manifest, sequence_of
from streamrec.models.generation import HEAD_FILE, MANIFEST_FILE, write_manifest
from streamrec.models.signing import SIGNATURE_FILE
from streamrec.ports import RegistryStore

TURNED = ("linear_D", "outer_M")
"""The head's last weights: with their signs turned, the worst item is the best."""


def put_upside_down(store: RegistryStore, champion: str, work: Path, now_ms: int) -> str:
    """Put it into the registry; its id. ``work`` is a directory that does not exist yet.

    Raises GenerationRefused, Unavailable.
    """
    shutil.copytree(store.get(champion), work)
    manifest = Manifest.from_json((work / MANIFEST_FILE).read_text())
    for name in (MANIFEST_FILE, SIGNATURE_FILE):
        (work / name).unlink(missing_ok=True)
    head = load_file(str(work / HEAD_FILE))
    save_file({n: -t if n in TURNED else t for n, t in head.items()}, str(work / HEAD_FILE))
    draft = replace(manifest, generation="", parent=champion, created_at_ms=now_ms, gate=None)
    bad = write_manifest(work, sequence_of(champion), draft).generation
    store.put(bad, work)
    return bad
