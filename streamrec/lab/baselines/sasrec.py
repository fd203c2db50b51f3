"""SASRec: self-attention over item IDs, the sequential baseline (Kang & McAuley 2018).

It never sees an item's text; when it learns: ``lab.baselines.sasrec_learner``.

Beyond the paper, in the baseline's favour (docs/adr/0070): a softmax over many negatives with
the logQ correction in place of one negative's cross-entropy, a bias per item, and a token
that stands before a user's first item, so that first clicks train too.

Legend: B sequences, L positions, D width, N items, M negatives,
S items shown beside the target, C = 1 + S.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

PADDING, BEGIN, FIRST_ITEM = 0, 1, 2
"""Tokens: item row r is token ``FIRST_ITEM + r``."""


@dataclass(frozen=True, slots=True)
class SasrecSettings:
    """Defaults are what was best on the streams of docs/adr/0070."""

    dim: int = 64
    heads: int = 2
    layers: int = 1
    max_length: int = 20  # items of history that are read
    dropout: float = 0.2
    learning_rate: float = 5e-4
    negatives: int = 1_024  # shared by a step; the whole catalogue when it has no more
    memory: int = 5_000  # newest accepted events that are replayed
    recency: float = 3.0  # 1: all of them alike; more: newer ones more often
    replayed: int = 256  # beside the fresh ones, in each step
    steps: int = 1  # for each call of learn
    averaging: float = 0.9  # what is kept of the served weights at each step
    init: float = 0.02  # standard deviation of the embeddings
    seed: int = 0


class Block(nn.Module):
    """Pre-norm causal self-attention, then a position-wise network of two layers."""

    def __init__(self, settings: SasrecSettings) -> None:
        super().__init__()
        dim = settings.dim
        self._heads, self._dropout = settings.heads, settings.dropout
        self.attention_norm, self.feed_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_qkv, self.to_out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.feed = nn.Sequential(
            nn.Linear(dim, dim),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(dim, dim),
            nn.Dropout(settings.dropout),
        )

    def forward(self, x_BLD: Tensor, seen_BLL: Tensor) -> Tensor:
        """``seen_BLL[b, i, j]``: whether position i may look at position j."""
        b, length, dim = x_BLD.shape
        qkv = self.to_qkv(self.attention_norm(x_BLD)).view(b, length, 3, self._heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=seen_BLL[:, None],
            dropout_p=self._dropout if self.training else 0.0,
        )
        x_BLD = x_BLD + self.to_out(mixed.transpose(1, 2).reshape(b, length, dim))
        out_BLD: Tensor = x_BLD + self.feed(self.feed_norm(x_BLD))
        return out_BLD


class Sasrec(nn.Module):
    """The network. ``items`` rows of the table are in use; the rest wait for new items."""

    def __init__(self, settings: SasrecSettings) -> None:
        super().__init__()
        self.items = 0
        self._init = settings.init
        self.table = nn.Parameter(torch.randn(FIRST_ITEM, settings.dim) * settings.init)
        self.bias = nn.Parameter(torch.zeros(FIRST_ITEM))
        self.positions = nn.Parameter(
            torch.randn(settings.max_length, settings.dim) * settings.init
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(settings.dim)

    def grow(self, items: int, generator: torch.Generator) -> dict[nn.Parameter, nn.Parameter]:
        """Make room for ``items`` items; which parameters were replaced, old to new."""
        self.items = max(items, self.items)
        missing = FIRST_ITEM + self.items - len(self.bias)
        if missing <= 0:
            return {}
        spare = max(missing, len(self.bias))  # doubling: growth is rare
        table, bias = self.table, self.bias
        rows = torch.randn(spare, table.shape[1], generator=generator) * self._init
        self.table = nn.Parameter(torch.cat([table.detach(), rows]))
        self.bias = nn.Parameter(functional.pad(bias.detach(), (0, spare)))
        return {table: self.table, bias: self.bias}

    def forward(self, tokens_BL: Tensor) -> Tensor:
        """What to look for after each position: (B, L, D). Sequences are padded on the left."""
        length = tokens_BL.shape[1]
        real_BL = tokens_BL != PADDING
        x_BLD = functional.embedding(tokens_BL, self.table) * math.sqrt(self.table.shape[1])
        x_BLD = self.dropout(x_BLD + self.positions[-length:]) * real_BL[..., None]
        itself_LL = torch.eye(length, dtype=torch.bool)  # padding sees itself: no empty softmax
        earlier_LL = torch.ones(length, length, dtype=torch.bool).tril()
        seen_BLL = (earlier_LL & real_BL[:, None, :]) | itself_LL
        for block in self.blocks:
            x_BLD = block(x_BLD, seen_BLL)
        out_BLD: Tensor = self.norm(x_BLD)
        return out_BLD

    def scores(self, tokens_BL: Tensor) -> Tensor:
        """The next item's logits after the last position: (B, N)."""
        used = slice(FIRST_ITEM, FIRST_ITEM + self.items)
        wanted_BD: Tensor = self(tokens_BL)[:, -1]
        return wanted_BD @ self.table[used].T + self.bias[used]

    def softmax_loss(
        self, wanted_BD: Tensor, targets_B: Tensor, negatives_M: Tensor, log_q_M: Tensor
    ) -> Tensor:
        """Cross-entropy of the target among itself and shared negatives, summed over B.

        ``log_q_M``: log of each negative's expected count in the sample (Bengio & Senécal
        2008); zeros when the negatives are the whole catalogue.
        """
        shared_BM = wanted_BD @ self.table[negatives_M].T + self.bias[negatives_M] - log_q_M
        shared_BM = shared_BM.masked_fill(negatives_M == targets_B[:, None], -torch.inf)
        own_B = (wanted_BD * self.table[targets_B]).sum(1) + self.bias[targets_B]
        nothing_B = targets_B.new_zeros(len(targets_B))
        return functional.cross_entropy(
            torch.cat([own_B[:, None], shared_BM], dim=1), nothing_B, reduction="sum"
        )

    def shown_loss(self, wanted_BD: Tensor, targets_B: Tensor, shown_BS: Tensor) -> Tensor:
        """Cross-entropy of the target among itself and what was shown beside it, summed.

        ``shown_BS`` is padded; a target shown alone adds nothing.
        """
        tokens_BC = torch.cat([targets_B[:, None], shown_BS], dim=1)
        logits_BC = (self.table[tokens_BC] @ wanted_BD[:, :, None])[..., 0] + self.bias[tokens_BC]
        logits_BC = logits_BC.masked_fill(tokens_BC == PADDING, -torch.inf)
        return functional.cross_entropy(logits_BC, torch.zeros_like(targets_B), reduction="sum")
