"""A learner's files: its tensors by name, and the catalogue they are numbered by.

Knows the two files and how they can be wrong. Does not know what the tensors mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from streamrec.core.events import Item
from streamrec.core.state.catalogue import Catalogue, item_from_record, item_record
from streamrec.errors import GenerationRefused
from streamrec.tasks.ranking.features import FEATURE_SET
from streamrec.tasks.ranking.model.head import INPUTS

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
    """The catalogue as it was, by row.

    Raises GenerationRefused when the file is missing or damaged, or the head had other inputs.
    """
    try:
        header = json.loads((directory / CATALOGUE_FILE).read_text(encoding="utf-8"))
        if header["inputs"] != list(INPUTS):
            raise GenerationRefused("the checkpoint's inputs are not those of this version")
        return [item_from_record(record) for record in header["items"]]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise unusable(directory, error) from error


def unusable(directory: Path, error: Exception) -> GenerationRefused:
    return GenerationRefused(f"{directory} cannot be resumed from: {error}")
