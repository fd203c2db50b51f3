"""Losses over lists of candidates, one accepted or more in each.

Knows scores and what was remembered of the examples. Does not know heads or encoders.

Legend: B examples, C candidates.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from streamrec.tasks.ranking.model.replay_buffer import ReplayBatch


def listwise(scores_BC: Tensor, batch: ReplayBatch) -> Tensor:
    """Mean softmax cross-entropy over examples that have both labels, by their weight; 0 when
    none has."""
    losses_B, weights_B = listwise_losses(scores_BC, batch)
    return (losses_B * weights_B).sum() / weights_B.sum().clamp(min=1)


def listwise_losses(scores_BC: Tensor, batch: ReplayBatch) -> tuple[Tensor, Tensor]:
    """Of each example its softmax cross-entropy, and what it weighs: 0 without both labels."""
    logits_BC = (scores_BC - batch.log_q).masked_fill(~batch.mask, -1e4)
    positives_B = batch.labels.sum(1)
    useful_B = (positives_B > 0) & (positives_B < batch.mask.sum(1))
    losses_B = -(logits_BC.log_softmax(1) * batch.labels).sum(1) / positives_B.clamp(min=1)
    return losses_B, useful_B * batch.weight


def divergence(served_BC: Tensor, trained_BC: Tensor, batch: ReplayBatch) -> Tensor:
    """KL(served ‖ trained) of choosing among an example's candidates; mean over examples."""
    served, trained = (
        scores_BC.masked_fill(~batch.mask, -1e4).log_softmax(1)
        for scores_BC in (served_BC, trained_BC)
    )
    sums: Tensor = functional.kl_div(trained, served, log_target=True, reduction="sum")
    return sums / len(batch)
