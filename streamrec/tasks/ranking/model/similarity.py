"""Text similarities of several kinds between a user's history and candidates.

Knows item vectors by catalogue row and how a history is pooled. Does not know where vectors
come from (``models.item_index``) or what similarities are worth (``tasks.ranking.model.head``).

Legend: B users, H history (newest first here), K keys, C candidates, N catalogue rows,
D dimensions, S similarities. Row -1 stands for "none": its similarity is 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamrec.core.state.user_state import HISTORY
from streamrec.models.dot_rows import DotRows
from streamrec.tasks.ranking import inputs
from streamrec.tasks.ranking.inputs import RECENT

SIMILARITIES = tuple(column.name for column in inputs.SIMILARITIES)
DECAY = 0.85
SHARPNESS = 8.0
"""Attention weights are softmax(SHARPNESS × similarity)."""
_POOLS = 3


def padded_rows(histories: Sequence[NDArray[np.int32]]) -> Tensor:
    """Rows (B, HISTORY), newest first, -1 behind; unknown items are left out."""
    rows = np.full((len(histories), HISTORY), -1, np.int64)
    for b, history in enumerate(histories):
        known = history[history >= 0][::-1][:HISTORY]
        rows[b, : len(known)] = known
    return torch.from_numpy(rows)


def gather(vectors_ND: Tensor, rows: Tensor) -> Tensor:
    """Vectors of rows of any shape; zero for -1 and for rows not indexed yet."""
    known = (rows >= 0) & (rows < len(vectors_ND))
    found: Tensor = vectors_ND.index_select(0, torch.where(known, rows, 0).flatten())
    return found.view(*rows.shape, vectors_ND.shape[1]).mul_(known.unsqueeze(-1))


def history_keys(vectors_ND: Tensor, history_BH: Tensor) -> tuple[Tensor, Tensor]:
    """What candidates are compared to: pooled vectors, then the last RECENT items.

    Returns keys_BKD (K = 3 + RECENT) and mask_BR, whether each recent item is there.
    """
    items_BHD = gather(vectors_ND, history_BH)
    there_BH = (history_BH >= 0).float()
    age_H = torch.arange(history_BH.shape[1], device=history_BH.device)
    weights_PBH = torch.stack([there_BH * DECAY**age_H, there_BH, there_BH * (age_H < 3)])
    weights_PBH = weights_PBH / weights_PBH.sum(-1, keepdim=True).clamp(min=1e-6)
    pools_BPD = torch.einsum("pbh,bhd->bpd", weights_PBH, items_BHD)
    keys_BKD = torch.cat([pools_BPD, items_BHD[:, :RECENT]], dim=1)
    return keys_BKD, there_BH[:, :RECENT].bool()


def pool(dots_BKC: Tensor, mask_BR: Tensor) -> Tensor:
    """Similarities (B, C, S) from the dot products of keys and candidates."""
    recent_BRC = dots_BKC[:, _POOLS:]
    hidden_BR1 = ~mask_BR.unsqueeze(-1)
    logits_BRC = (recent_BRC * SHARPNESS).masked_fill_(hidden_BR1, -1e4)
    attention_BC = (logits_BRC.softmax(dim=1) * recent_BRC).sum(dim=1)
    nearest_BC = recent_BRC.masked_fill(hidden_BR1, -1.0).amax(dim=1)
    nearest_BC = nearest_BC * mask_BR.any(dim=1, keepdim=True)
    pools = dots_BKC[:, :_POOLS].unbind(dim=1)
    return torch.stack([*pools, recent_BRC[:, 0], nearest_BC, attention_BC], dim=-1)


def candidate_similarities(vectors_ND: Tensor, history_BH: Tensor, rows_BC: Tensor) -> Tensor:
    """Similarities (B, C, S) of each user's own candidates."""
    keys_BKD, mask_BR = history_keys(vectors_ND, history_BH)
    dots_BKC = keys_BKD @ gather(vectors_ND, rows_BC).transpose(1, 2)
    return pool(dots_BKC, mask_BR)


def catalogue_similarities(dots: DotRows, history_BH: Tensor) -> Tensor:
    """Similarities (B, S, N) of every indexed item. Histories count as long as they are."""
    shape = len(history_BH), len(SIMILARITIES), len(dots.vectors_ND)
    sims_BSN = dots.vectors_ND.new_zeros(shape)
    put_similarities(dots, history_BH, sims_BSN)
    return sims_BSN


def put_similarities(dots: DotRows, history_BH: Tensor, sims_BSN: Tensor) -> None:
    """The same, over zeros."""
    vectors_ND = dots.vectors_ND
    if not len(vectors_ND):
        return
    keys_BKD, _ = history_keys(vectors_ND, history_BH)
    pools_QD = keys_BKD[:, :_POOLS].flatten(0, 1)  # one product of all is faster than one each
    sims_BSN[:, :_POOLS] = (pools_QD @ vectors_ND.T).view(-1, _POOLS, len(vectors_ND))
    recent = [[row for row in rows if row >= 0] for rows in history_BH[:, :RECENT].tolist()]
    table_KN, place = dots.find(row for rows in recent for row in rows)
    for sims_SN, rows in zip(sims_BSN, recent, strict=True):
        if not rows:
            continue
        recent_RN = table_KN[[place[row] for row in rows]]
        sims_SN[_POOLS] = recent_RN[0]
        torch.amax(recent_RN, dim=0, out=sims_SN[_POOLS + 1])
        weights_RN = (recent_RN * SHARPNESS).exp_()  # |cosine| ≤ 1: no overflow to guard against
        attended_N = (weights_RN * recent_RN).sum(dim=0) / weights_RN.sum(dim=0)
        sims_SN[_POOLS + 2] = attended_N
