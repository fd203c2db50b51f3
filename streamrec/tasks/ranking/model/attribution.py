"""Attribution of a kept answer, by the weights of the generation that made it.

Needs no language model: the cosines were kept.

The effect of one of the user's items is measured by leaving it out of the history that texts
are compared with: the six similarities are pooled again without it, and the whole head is run
on them. What the item does through co-occurrence is not in it (those inputs cannot be made
again without the statistics of that moment); ``after_last`` speaks of the newest item alone.

Legend: K items of the list, H known items of the user, newest first, S similarities, D inputs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from streamrec.errors import GenerationRefused
from streamrec.models.generation import CENTRE, HEAD_FILE, file_digest, read_manifest
from streamrec.tasks.ranking.inputs import RECENT
from streamrec.tasks.ranking.lists.attribution import ItemAttribution
from streamrec.tasks.ranking.lists.explanation import Explanation
from streamrec.tasks.ranking.lists.reasons import GROUPS
from streamrec.tasks.ranking.model.head import INPUTS, Head, inputs_then, widened
from streamrec.tasks.ranking.model.ranking import SIM_INPUTS
from streamrec.tasks.ranking.model.shapley import shapley_values
from streamrec.tasks.ranking.model.similarity import DECAY, SHARPNESS, SIMILARITIES


def load_head(directory: Path) -> Head:
    """The head of a finished generation. Raises GenerationRefused when a check fails."""
    manifest = read_manifest(directory)
    path = directory / HEAD_FILE
    if file_digest(path) != manifest.files[HEAD_FILE]:
        raise GenerationRefused(f"{HEAD_FILE} is not the file the manifest was written for")
    head = Head()
    try:
        tensors = safetensors.torch.load_file(path)
        tensors.pop(CENTRE, None)
        head.load_state_dict(widened(tensors, inputs_then(manifest)))
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise GenerationRefused(f"{manifest.generation}: {HEAD_FILE}: {error}") from None
    return head.requires_grad_(False)


@torch.no_grad()
def attributions(head: Head, kept: Explanation) -> list[ItemAttribution]:
    """Every item of a kept answer, in its order.

    Raises GenerationRefused when its inputs are not the head's.
    """
    if kept.names != INPUTS:
        raise GenerationRefused("the answer was made from other inputs than this version's head")
    raw_KD = torch.from_numpy(kept.raw_KD)
    parts = shapley_values(head, head.standardised(raw_KD))
    scores_K = head(raw_KD)
    kind = head.served_kind
    logits_K = head.calibrated_logit(scores_K, kind)
    effects_KH = _effects(head, raw_KD, torch.from_numpy(kept.closeness_KH))
    return [
        ItemAttribution(
            item_id=item_id,
            linear=dict(zip(GROUPS, parts.linear_TG[k].tolist(), strict=True)),
            network=dict(zip(GROUPS, parts.network_TG[k].tolist(), strict=True)),
            constant=float(parts.constant),
            scale=float(head.log_scale_K[kind].exp()),
            shift=float(head.shift_K[kind]),
            score=float(scores_K[k]),
            probability=float(logits_K[k].sigmoid()),
            published=float(kept.probabilities_K[k]),
            drivers=effects_KH[k].tolist(),
        )
        for k, item_id in enumerate(kept.items)
    ]


def _effects(head: Head, raw_KD: Tensor, closeness_KH: Tensor) -> Tensor:
    """How much lower each score is when one item is left out of the history (K, H)."""
    count = closeness_KH.shape[1]
    whole_K = _score_with(head, raw_KD, pooled(closeness_KH))
    effects = []
    for left_out in range(count):
        others = [h for h in range(count) if h != left_out]
        effects.append(whole_K - _score_with(head, raw_KD, pooled(closeness_KH[:, others])))
    return torch.stack(effects, dim=1) if effects else torch.zeros(len(raw_KD), 0)


def _score_with(head: Head, raw_KD: Tensor, sims_KS: Tensor) -> Tensor:
    changed_KD = raw_KD.clone()
    changed_KD[:, SIM_INPUTS] = sims_KS
    scores_K: Tensor = head(changed_KD)
    return scores_K


def pooled(closeness_KH: Tensor) -> Tensor:
    """The similarities (K, S) of a history from its cosines; as ``model.similarity`` has them."""
    items, count = closeness_KH.shape
    if not count:
        return torch.zeros(items, len(SIMILARITIES))
    decay_H = torch.from_numpy(np.float32(DECAY) ** np.arange(count, dtype=np.float32))
    recent_KR = closeness_KH[:, :RECENT]
    attention_KR = (recent_KR * SHARPNESS).softmax(dim=1)
    columns = {
        "sim_decayed": closeness_KH @ (decay_H / decay_H.sum()),
        "sim_mean": closeness_KH.mean(dim=1),
        "sim_last3": closeness_KH[:, :3].mean(dim=1),
        "sim_last": closeness_KH[:, 0],
        "sim_max": recent_KR.amax(dim=1),
        "sim_attention": (attention_KR * recent_KR).sum(dim=1),
    }
    return torch.stack([columns[name] for name in SIMILARITIES], dim=1)
