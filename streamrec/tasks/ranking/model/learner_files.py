"""A learner's files: its tensors by name, and the catalogue they are numbered by.

Knows the two files and how they can be wrong. Does not know what the tensors mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from streamrec.core.events import Item
from streamrec.core.state.catalogue import Catalogue, item_from_record, item_record
from streamrec.errors import GenerationRefused
from streamrec.models.state_dicts import named, under
from streamrec.tasks.ranking.features import FEATURE_SET
from streamrec.tasks.ranking.model.head import INPUTS, widened

STATE_FILE = "learner.safetensors"
CATALOGUE_FILE = "learner.json"


def write(directory: Path, state: Mapping[str, Tensor], catalogue: Catalogue) -> None:
    """Both files, into an empty directory."""
    tensors = {name: tensor.contiguous().clone() for name, tensor in state.items()}
    safetensors.torch.save_file(tensors, str(directory / STATE_FILE))
    items = [item_record(catalogue.item(row)) for row in range(len(catalogue))]
    header = {"feature_set": FEATURE_SET, "inputs": list(INPUTS), "items": items}
    (directory / CATALOGUE_FILE).write_text(json.dumps(header), encoding="utf-8")


def read_state(directory: Path) -> dict[str, Tensor]:
    """Raises GenerationRefused when the file is missing or damaged."""
    try:
        return safetensors.torch.load_file(str(directory / STATE_FILE))
    except (OSError, SafetensorError) as error:
        raise unusable(directory, error) from error


def read_items(directory: Path) -> list[Item]:
    """The catalogue as it was, by row. Raises GenerationRefused: missing or damaged."""
    return [item_from_record(record) for record in _header(directory)["items"]]


def read_inputs(directory: Path) -> tuple[str, ...]:
    """Those of its head. Raises GenerationRefused: missing or damaged."""
    return tuple(map(str, _header(directory)["inputs"]))


def _header(directory: Path) -> Mapping[str, Any]:
    try:
        header = json.loads((directory / CATALOGUE_FILE).read_text(encoding="utf-8"))
        found: Mapping[str, Any] = {name: list(header[name]) for name in ("items", "inputs")}
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise unusable(directory, error) from error
    return found


def on_inputs(state: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
    """A state of a head with inputs ``names``, on those of this version: by name, 0 where one was
    not known; of the head only its served weights. Raises GenerationRefused when one is gone."""
    head = widened(under("fast.averaged", state), names)
    kept = {name: value for name, value in state.items() if not name.startswith("fast.")}
    places = [INPUTS.index(name) for name in names]
    for name in ("memory.inputs", "waiting.inputs"):
        if name in kept:
            narrow = kept[name]
            kept[name] = narrow.new_zeros((*narrow.shape[:-1], len(INPUTS)))
            kept[name][..., places] = narrow
    return kept | named("fast.averaged", head)


def unusable(directory: Path, error: Exception) -> GenerationRefused:
    return GenerationRefused(f"{directory} cannot be resumed from: {error}")
