"""Examples as padded tensors.

Knows ids, rows and padding. Does not know vectors or weights.

Legend: B examples, H history, C candidates (padded), F statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from streamrec.core.state.catalogue import Catalogue
from streamrec.tasks.ranking.examples import RankingExample
from streamrec.tasks.ranking.features import FEATURES
from streamrec.tasks.ranking.model.head import KINDS
from streamrec.tasks.ranking.model.similarity import padded_rows


@dataclass(frozen=True, slots=True, eq=False)
class ExampleTensors:
    """Padding candidates have mask 0, label 0 and row -1."""

    history_BH: Tensor  # catalogue rows, newest first, -1 behind
    rows_BC: Tensor
    stats_BCF: Tensor
    labels_BC: Tensor
    log_q_BC: Tensor
    mask_BC: Tensor  # bool
    kind_B: Tensor  # positions in KINDS


def example_tensors(
    examples: Sequence[RankingExample], catalogue: Catalogue, width: int | None = None
) -> ExampleTensors:
    """Pad to ``width`` candidates, or to the widest example. No example may be wider."""
    count = len(examples)
    width = width or max((len(e.candidates) for e in examples), default=1)
    rows = np.full((count, width), -1, np.int64)
    stats = np.zeros((count, width, len(FEATURES)), np.float32)
    labels, log_q = np.zeros((2, count, width), np.float32)
    mask = np.zeros((count, width), bool)
    for b, example in enumerate(examples):
        c = len(example.candidates)
        rows[b, :c] = catalogue.rows(example.candidates)
        stats[b, :c] = example.stats_CF
        labels[b, :c] = example.labels_C
        log_q[b, :c] = example.log_q_C
        mask[b, :c] = True
    return ExampleTensors(
        history_BH=padded_rows([catalogue.rows(e.history) for e in examples]),
        rows_BC=torch.from_numpy(rows),
        stats_BCF=torch.from_numpy(stats),
        labels_BC=torch.from_numpy(labels),
        log_q_BC=torch.from_numpy(log_q),
        mask_BC=torch.from_numpy(mask),
        kind_B=torch.tensor([KINDS.index(e.kind) for e in examples]),
    )
