"""Token vectors to one vector.

Shapes: B texts, T tokens (padded on the right), D dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from streamrec.settings import Pooling

CAUSAL_MODELS = frozenset(
    {"gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi3", "smollm3"}
)


def default_pooling(model_type: str) -> Pooling:
    """The last token of a causal model (only it has read everything), the mean otherwise."""
    return Pooling.LAST if model_type in CAUSAL_MODELS else Pooling.MEAN


def pooled(hidden_BTD: Tensor, mask_BT: Tensor, pooling: Pooling) -> Tensor:
    """Unit vectors (B, D), float32. Padding has no say."""
    hidden_BTD = hidden_BTD.float()
    if pooling is Pooling.LAST:
        last_B = mask_BT.sum(dim=1) - 1
        vectors_BD = hidden_BTD[torch.arange(len(last_B), device=last_B.device), last_B]
    else:
        weights_BT1 = mask_BT.unsqueeze(-1).to(hidden_BTD.dtype)
        vectors_BD = (hidden_BTD * weights_BT1).sum(dim=1) / weights_BT1.sum(dim=1).clamp(min=1)
    return functional.normalize(vectors_BD, dim=-1)
