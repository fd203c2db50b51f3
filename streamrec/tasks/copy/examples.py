"""Copy's examples: the words that one item was shown with, and how often each was clicked.

An example holds impressions that no other one holds, so the likelihoods of a test's examples
multiply, however its impressions were shared out over partitions and time.

Legend: A arms, the wordings of one item that were shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamrec.core.examples import Example, FloatArray, TrainingBatch, check_feature_set
from streamrec.core.tasks import COPY
from streamrec.errors import InvalidField
from streamrec.ports import ExampleFormat, example_format

FEATURE_SET = "copy-1"
"""Another one when an example says something else."""


@dataclass(frozen=True, slots=True, eq=False)
class CopyExample(Example):
    """``views_A``: impressions; ``clicks_A``: how many of them were clicked."""

    item_id: str
    texts: tuple[str, ...]
    views_A: FloatArray
    clicks_A: FloatArray


def variant_text(title: str, text: str = "") -> str:
    """What the language model reads of a wording."""
    return ". ".join(part.strip() for part in (title, text) if part.strip())


def check(batch: TrainingBatch) -> None:
    """Raises InvalidField for examples that this version cannot learn from."""
    check_feature_set(batch, FEATURE_SET)
    for example in batch.examples:
        if isinstance(example, CopyExample):
            _check(example)


def _check(example: CopyExample) -> None:
    arms, views_A, clicks_A = len(example.texts), example.views_A, example.clicks_A
    counts = np.concatenate([views_A, clicks_A])
    if len(views_A) != arms or len(clicks_A) != arms or not np.isfinite(counts).all():
        raise InvalidField(f"the example at offset {example.offset} has not two counts of each arm")
    if (views_A <= 0).any() or (clicks_A < 0).any() or (clicks_A > views_A).any():
        raise InvalidField(f"the example at offset {example.offset} has more clicks than views")


def _say(example: CopyExample) -> Mapping[str, Any]:
    return {
        "item_id": example.item_id,
        "texts": list(example.texts),
        "views": example.views_A.tolist(),
        "clicks": example.clicks_A.tolist(),
    }


def _make(place: Mapping[str, Any], says: Mapping[str, Any]) -> CopyExample:
    return CopyExample(
        **place,
        item_id=says["item_id"],
        texts=tuple(says["texts"]),
        views_A=_counts(says["views"]),
        clicks_A=_counts(says["clicks"]),
    )


def _counts(numbers: Sequence[float]) -> FloatArray:
    return np.asarray(numbers, np.float32)


FORMAT: ExampleFormat = example_format(
    COPY,
    FEATURE_SET,
    {
        "item_id": "string",
        "texts": {"type": "array", "items": "string"},
        "views": {"type": "array", "items": "double"},
        "clicks": {"type": "array", "items": "double"},
    },
    say=_say,
    make=_make,
)
