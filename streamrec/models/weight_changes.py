"""How far the weights of one generation are from another's, group by group.

Knows weight files and how tensors are grouped for people. Does not judge (``core.release.gate``).
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from streamrec.errors import GenerationRefused
from streamrec.models.generation import HEAD_FILE
from streamrec.models.lora import WEIGHTS_FILE

_LAYER = re.compile(r"\.(\d+)\.")


def changes(ours: Path, theirs: Path) -> dict[str, float]:
    """‖theirs - ours‖ / ‖ours‖ of every group: the adapter by layer, the head by tensor.

    Infinite where shapes differ or only one has it. Raises GenerationRefused.
    """
    one, two = _groups(ours), _groups(theirs)
    return {group: _relative(one.get(group, {}), two.get(group, {})) for group in {**one, **two}}


def update_norms(directory: Path, champion: Path, ignored: frozenset[str]) -> dict[str, float]:
    """‖candidate - champion‖ / ‖champion‖ of adapter and head, as ``update_norm/<part>``.

    ``ignored``: tensors that follow the data, not the gradient. Infinite where shapes differ.
    Raises GenerationRefused when a file cannot be read.
    """
    names = {"adapter": WEIGHTS_FILE, "head": HEAD_FILE}
    return {
        f"update_norm/{part}": _moved(
            _weights(directory / name, ignored), _weights(champion / name, ignored)
        )
        for part, name in names.items()
    }


def _weights(path: Path, ignored: frozenset[str]) -> dict[str, Tensor]:
    try:
        tensors = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise GenerationRefused(f"{path} cannot be read: {error}") from None
    return {
        name: tensor.double()
        for name, tensor in tensors.items()
        if name not in ignored and tensor.is_floating_point()
    }


def _moved(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """Over the tensors both have; another shape counts as infinitely far."""
    moved = size = 0.0
    for name in ours.keys() & theirs.keys():
        if ours[name].shape != theirs[name].shape:
            return float("inf")
        moved += float(torch.sum((ours[name] - theirs[name]) ** 2))
        size += float(torch.sum(theirs[name] ** 2))
    if size == 0.0:
        return 0.0 if moved == 0.0 else float("inf")
    return float((moved / size) ** 0.5)


def _groups(directory: Path) -> dict[str, dict[str, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for file, prefix in ((WEIGHTS_FILE, "adapter"), (HEAD_FILE, "head")):
        try:
            tensors = load_file(str(directory / file))
        except (OSError, SafetensorError) as error:
            raise GenerationRefused(f"{directory / file} cannot be read: {error}") from None
        for name, tensor in sorted(tensors.items()):
            layer = _LAYER.search(name)
            part = f"layer {layer[1]}" if prefix == "adapter" and layer else name
            found.setdefault(f"{prefix}: {part}", {})[name] = tensor.double()
    return found


def _relative(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    if ours.keys() != theirs.keys():
        return float("inf")
    if any(ours[name].shape != theirs[name].shape for name in ours):
        return float("inf")
    moved = sum(float(torch.sum((theirs[name] - ours[name]) ** 2)) for name in ours)
    size = sum(float(torch.sum(ours[name] ** 2)) for name in ours)
    if size == 0.0:
        return 0.0 if moved == 0.0 else float("inf")
    return float((moved / size) ** 0.5)
