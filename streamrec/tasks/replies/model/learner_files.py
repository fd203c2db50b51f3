"""A learner's files: its tensors by name, and the replies that it holds.

Knows the two files and how they can be wrong. Does not know what the tensors mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from streamrec.errors import GenerationRefused
from streamrec.tasks.replies.examples import FEATURE_SET, FORMAT, ReplyExample

STATE_FILE = "learner.safetensors"
REPLIES_FILE = "learner.json"


@dataclass(frozen=True, slots=True, eq=False)
class PraisedReply:
    """A reply, and how much better than expected it was received."""

    example: ReplyExample
    advantage: float


def write(
    directory: Path,
    state: Mapping[str, Tensor],
    waiting: Sequence[PraisedReply],
    memory: Sequence[PraisedReply],
) -> None:
    """Both files, into an empty directory. ``waiting``: not learned yet; ``memory``: learned."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    safetensors.torch.save_file(tensors, str(directory / STATE_FILE))
    held = {
        "feature_set": FEATURE_SET,
        "waiting": [_record(one) for one in waiting],
        "memory": [_record(one) for one in memory],
    }
    (directory / REPLIES_FILE).write_text(json.dumps(held), encoding="utf-8")


def read(
    directory: Path,
) -> tuple[dict[str, Tensor], list[PraisedReply], list[PraisedReply]]:
    """What ``write`` was given. Raises GenerationRefused when a file is missing or damaged."""
    with checked(directory):
        state = safetensors.torch.load_file(str(directory / STATE_FILE))
        held = json.loads((directory / REPLIES_FILE).read_text(encoding="utf-8"))
        if held["feature_set"] != FEATURE_SET:
            raise GenerationRefused(f"{directory}: its examples are of set {held['feature_set']}")
        waiting, memory = ([_praised(one) for one in held[name]] for name in ("waiting", "memory"))
        return state, waiting, memory


@contextmanager
def checked(directory: Path) -> Iterator[None]:
    """What is wrong with the files is said as GenerationRefused."""
    try:
        yield
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise GenerationRefused(f"{directory} cannot be resumed from: {error}") from error


def _record(one: PraisedReply) -> dict[str, Any]:
    return {"advantage": one.advantage, "example": FORMAT.to_fields(one.example)}


def _praised(record: Mapping[str, Any]) -> PraisedReply:
    example = FORMAT.from_fields(record["example"])
    if not isinstance(example, ReplyExample):
        raise GenerationRefused("what it holds is no reply")
    return PraisedReply(example, float(record["advantage"]))
