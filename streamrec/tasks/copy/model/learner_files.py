"""A learner's files: its tensors by name, and the examples that it holds.

Knows the two files and how they can be wrong. Does not know what the tensors mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from streamrec.errors import GenerationRefused
from streamrec.tasks.copy.examples import FEATURE_SET, CopyExample

STATE_FILE = "learner.safetensors"
EXAMPLES_FILE = "learner.json"


def write(
    directory: Path,
    state: Mapping[str, Tensor],
    waiting: Sequence[CopyExample],
    memory: Sequence[CopyExample],
) -> None:
    """Both files, into an empty directory. ``waiting``: not learned yet; ``memory``: learned."""
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in state.items()}
    safetensors.torch.save_file(tensors, str(directory / STATE_FILE))
    held = {
        "feature_set": FEATURE_SET,
        "waiting": [_record(example) for example in waiting],
        "memory": [_record(example) for example in memory],
    }
    (directory / EXAMPLES_FILE).write_text(json.dumps(held), encoding="utf-8")


def read(directory: Path) -> tuple[dict[str, Tensor], list[CopyExample], list[CopyExample]]:
    """What ``write`` was given. Raises GenerationRefused when a file is missing or damaged."""
    with checked(directory):
        state = safetensors.torch.load_file(str(directory / STATE_FILE))
        held = json.loads((directory / EXAMPLES_FILE).read_text(encoding="utf-8"))
        waiting, memory = ([_example(one) for one in held[name]] for name in ("waiting", "memory"))
        if held["feature_set"] != FEATURE_SET:
            raise GenerationRefused(f"{directory}: its examples are of set {held['feature_set']}")
        return state, waiting, memory


@contextmanager
def checked(directory: Path) -> Iterator[None]:
    """What is wrong with the files is said as GenerationRefused."""
    try:
        yield
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise GenerationRefused(f"{directory} cannot be resumed from: {error}") from error


def _record(example: CopyExample) -> dict[str, Any]:
    record = asdict(example)
    record["views_A"], record["clicks_A"] = example.views_A.tolist(), example.clicks_A.tolist()
    return record


def _example(record: Mapping[str, Any]) -> CopyExample:
    views_A, clicks_A = (np.asarray(record[name], np.float32) for name in ("views_A", "clicks_A"))
    texts = tuple(record["texts"])
    return CopyExample(**{**record, "texts": texts, "views_A": views_A, "clicks_A": clicks_A})
