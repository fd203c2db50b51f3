"""Token vectors to one vector, in the way the model was trained for.

Knows transformers' families and the file in which sentence-transformers says how a model is
pooled. Does not know where models come from.

Shapes: B texts, T tokens (padded on the right), D dimensions.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from streamrec.errors import SettingsError
from streamrec.settings import Pooling

CAUSAL_MODELS = frozenset(
    {"gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi3", "smollm3"}
)


OWN_WORD = "1_Pooling/config.json"
SAID = {
    "cls": Pooling.CLS,
    "cls_token": Pooling.CLS,
    "mean": Pooling.MEAN,
    "mean_tokens": Pooling.MEAN,
    "mean_sqrt_len_tokens": Pooling.MEAN,  # of another length; ours all have length one
    "lasttoken": Pooling.LAST,
}


def own_pooling(directory: Path) -> Pooling | None:
    """How the model in ``directory`` was trained to be pooled; None where it does not say.

    Raises:
        SettingsError: in a way that is not offered here.
        OSError, ValueError: the file cannot be read.
    """
    file = directory / OWN_WORD
    if not file.is_file():
        return None
    word = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(word, dict):
        raise ValueError(f"{OWN_WORD} is not a JSON object")  # noqa: TRY004 - a bad file
    modes = [name for name, on in word.items() if name.startswith("pooling_mode_") and on is True]
    said = str(word.get("pooling_mode") or " and ".join(modes)).replace("pooling_mode_", "")
    if said not in SAID:
        raise SettingsError(
            [
                f"the model is pooled by {said or 'nothing'}, says its {OWN_WORD}; here there are "
                "mean, cls and last: choose one with STREAMREC_ENCODER_POOLING, or another model"
            ]
        )
    return SAID[said]


def default_pooling(model_type: str) -> Pooling:
    """The last token of a causal model (only it has read everything), the mean otherwise."""
    return Pooling.LAST if model_type in CAUSAL_MODELS else Pooling.MEAN


def pooled(hidden_BTD: Tensor, mask_BT: Tensor, pooling: Pooling) -> Tensor:
    """Unit vectors (B, D), float32. Padding has no say."""
    hidden_BTD = hidden_BTD.float()
    if pooling is Pooling.CLS:
        vectors_BD = hidden_BTD[:, 0]
    elif pooling is Pooling.LAST:
        last_B = mask_BT.sum(dim=1) - 1
        vectors_BD = hidden_BTD[torch.arange(len(last_B), device=last_B.device), last_B]
    else:
        weights_BT1 = mask_BT.unsqueeze(-1).to(hidden_BTD.dtype)
        vectors_BD = (hidden_BTD * weights_BT1).sum(dim=1) / weights_BT1.sum(dim=1).clamp(min=1)
    return functional.normalize(vectors_BD, dim=-1)
