"""Where a run over labelled texts has got to, in one file that is exchanged whole.

Knows what a run must have been started with to be gone on with. Order: written aside, brought to
the disk, put in place; a kill leaves the old one or the new one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from streamrec.errors import BadFile, UserError

CHECKPOINT = "checkpoint.safetensors"
ASIDE = ".checkpoint.new"


def keep(
    directory: Path, made_with: Mapping[str, Any], state: Mapping[str, Any], tensors: dict[str, Any]
) -> None:
    """Raises UserError when it cannot be written."""
    aside = directory / ASIDE
    words = {"made_with": json.dumps(made_with), "state": json.dumps(state)}
    try:
        save_file(tensors, str(aside), metadata=words)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(directory / CHECKPOINT)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{directory / CHECKPOINT} cannot be written: {error}") from None


def kept(directory: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor]] | None:
    """What the run was made with, its state and its tensors; None where there is none.

    Raises BadFile.
    """
    path = directory / CHECKPOINT
    if not path.exists():
        return None
    try:
        with safe_open(str(path), framework="pt") as file:
            words = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return json.loads(words["made_with"]), json.loads(words["state"]), tensors
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise BadFile(f"{path} cannot be read: {error}; delete it to begin anew") from None


def check_same(directory: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises UserError: a run is not gone on with as another."""
    other = [
        f"{name} was {then.get(name)}, is {now.get(name)}"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
    if other:
        raise UserError(
            f"{directory} holds a run that was begun otherwise: {'; '.join(other)}; "
            "as then, or another --out"
        )
