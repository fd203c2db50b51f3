"""Augmentation: a step sees each text with 15 % of its tokens left out, at random.

Done where the trained layers begin, not in the text: what the frozen layers made of a text is
cached, and a changed text would have to pass them again (docs/adr/0047).

Measured: NDCG@10 0.0923, -0.0006 [-0.0027, +0.0016] to lora: noise (MovieLens 100K); 0.0939,
-0.0012 [-0.0027, +0.0002]: noise (MovieTweetings)

Shapes: B texts, T tokens (padded on the right), H hidden units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Generator

from streamrec.models.cached_layers import padded
from streamrec.models.gradient_cache import Chunk
from streamrec.tasks.ranking.model.adapter_trainer import Backward
from streamrec.tasks.ranking.model.learner import LearnerConfig

PART = 0.15


def apply(config: LearnerConfig) -> LearnerConfig:
    adapter = config.adapter
    return replace(config, adapter=adapter and replace(adapter, pass_chunks=pass_shortened))


def pass_shortened(chunks: Sequence[Chunk], backward: Backward, drawn: Generator) -> float:
    return backward([shortened(chunk, PART, drawn) for chunk in chunks])


def shortened(chunk: Chunk, part: float, drawn: Generator) -> Chunk:
    """Each token is left out with probability ``part``; a text's first and last always stay."""
    drawn_BT = torch.rand(chunk.mask_BT.shape, generator=drawn)
    lengths, kept = chunk.mask_BT.sum(1).tolist(), []
    for row_TH, drawn_T, length in zip(chunk.hidden_BTH, drawn_BT, lengths, strict=True):
        stays_T = drawn_T[:length] >= part
        stays_T[[0, length - 1]] = True
        kept.append(row_TH[:length][stays_T.to(row_TH.device)])
    return Chunk(*padded(kept))
