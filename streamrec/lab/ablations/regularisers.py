"""Against overfitting: what a training step sees instead of the plain text.

Knows tensors on their way into the trained layers, and adapters' weights. Does not know
examples, losses or optimisers. All randomness is a generator's.

Shapes: B texts, T tokens (padded on the right), H hidden units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from streamrec.core.events import Item
from streamrec.models.cached_layers import padded
from streamrec.models.item_index import item_text


def hidden_tokens(
    entering_BTH: Tensor, mask_BT: Tensor, part: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Each token is left out with probability ``part``; a text's first and last always stay.

    Done where the trained layers begin, not in the text: what the frozen layers made of a
    text is cached, and a changed text would have to pass them again.
    """
    if part <= 0:
        return entering_BTH, mask_BT
    drawn_BT = torch.rand(mask_BT.shape, generator=generator)
    lengths, kept = mask_BT.sum(1).tolist(), []
    for row_TH, drawn_T, length in zip(entering_BTH, drawn_BT, lengths, strict=True):
        stays_T = drawn_T[:length] >= part
        stays_T[[0, length - 1]] = True
        kept.append(row_TH[:length][stays_T.to(row_TH.device)])
    return padded(kept)


def shuffled_text(item: Item, generator: torch.Generator) -> str:
    """The item's text, or, half of the time, with the categories before the title."""
    turned = bool(torch.rand((), generator=generator) < 0.5)
    if not turned or not item.categories:
        return item_text(item)
    parts = (", ".join(item.categories), item.title, item.text)
    return ". ".join(part.strip() for part in parts if part.strip())


def adversarial(entering_BTH: Tensor, gradient_BTH: Tensor, size: float) -> Tensor:
    """The fast gradient method: a step up the loss, ``size`` times each text's norm long.

    r = ε g / ‖g‖₂ per text (Miyato, Dai & Goodfellow 2017, equation 5), with ε relative to
    the norm of what is perturbed, which differs by a factor of ten between models. A new
    tensor: what was given (it may come from a cache) stays as it is.
    """
    flat_B = gradient_BTH.flatten(1).norm(dim=1).clamp(min=1e-12)
    length_B = size * entering_BTH.flatten(1).norm(dim=1)
    scale_B11 = (length_B / flat_B)[:, None, None].to(gradient_BTH.dtype)
    perturbed: Tensor = (entering_BTH + scale_B11 * gradient_BTH).detach()
    return perturbed


def mean_state(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of weights, tensor by tensor (Izmailov et al. 2018, along one trajectory).

    For a low-rank adapter the mean of the factors is not the mean of the products:
    mean(B) mean(A) = mean(BA) - mean((B - mean B)(A - mean A)). Along one trajectory the
    deviations are small against the weights, and the error is their square; the mean of
    adapters trained apart would be meaningless. The error as measured:
    docs/learning/2026-11-24-adapter-methods.md.
    """
    return {
        name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]
    }
