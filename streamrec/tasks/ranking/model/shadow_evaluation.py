"""A new encoder version against the one in use: each has a head, both see the same examples.

Knows two heads and their losses on fresh examples. Does not know how the version was
trained, nor what happens to the one that loses (``tasks.ranking.model.encoder_rollout``).

The challenger's head begins as a copy of the one in use and learns the same steps, on the new
vectors. After the first third, in which it gets used to them, both are compared on examples that
neither has learned, one by one. The challenger wins when its mean loss is smaller by more than
the error of that: to serve a new version, every worker has to encode the catalogue anew.

Legend: B examples, C candidates, F statistics, S similarities, D = F + S inputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from streamrec.models.encoder import TextEncoder
from streamrec.models.item_index import ItemIndex
from streamrec.models.state_dicts import named, under
from streamrec.ports import ShadowResult
from streamrec.tasks.ranking.features import FEATURES
from streamrec.tasks.ranking.model.head import Head
from streamrec.tasks.ranking.model.head_trainer import HeadTrainer, listwise_losses
from streamrec.tasks.ranking.model.replay_buffer import ReplayBatch
from streamrec.tasks.ranking.model.similarity import candidate_similarities

USED_TO = 1 / 3
"""Part of a challenge in which nothing is compared."""


class ShadowEvaluation:
    """``fast`` learns on the vectors of ``index``, made by ``encoder``."""

    def __init__(
        self, encoder: TextEncoder, index: ItemIndex, fast: HeadTrainer, steps: int
    ) -> None:
        """``fast``: a copy of the fast lane in use; ``steps``: from the first to the verdict."""
        self.encoder, self.index, self.fast = encoder, index, fast
        self._steps = steps
        self._taken = 0
        self._sums = torch.zeros(3, dtype=torch.float64)  # weight, gain, gain²

    @property
    def over(self) -> bool:
        return self._taken >= self._steps

    @property
    def verdict(self) -> ShadowResult:
        """As it stands. The error takes examples as independent."""
        weight, gains, squares = self._sums.tolist()
        count = max(1.0, weight)
        gain = gains / count
        error = math.sqrt(max(0.0, squares / count - gain**2) / count)
        return ShadowResult(self.index.encoder_version, gain, error, gain > error)

    def step(self, fresh: ReplayBatch, replayed: ReplayBatch, in_use: Head) -> None:
        """Compare on ``fresh``, which neither head has learned; then learn both."""
        ours = self._through_new_vectors(fresh)
        if self._taken >= self._steps * USED_TO:
            self._compare(fresh, ours, in_use)
        self.fast.observe(ours)
        self.fast.step(ours.as_float().joined(self._through_new_vectors(replayed)))
        self._taken += 1

    def _through_new_vectors(self, batch: ReplayBatch) -> ReplayBatch:
        """The same examples, their similarities by the new index."""
        sims_BCS = candidate_similarities(
            self.index.vectors, batch.history.long(), batch.rows.long()
        )
        stats_BCF = batch.inputs[..., : len(FEATURES)]
        inputs_BCD = torch.cat([stats_BCF, sims_BCS.to(stats_BCF.dtype)], -1)
        return replace(batch, inputs=inputs_BCD)

    @torch.no_grad()
    def _compare(self, theirs: ReplayBatch, ours: ReplayBatch, in_use: Head) -> None:
        loss_B, weight_B = listwise_losses(in_use(theirs.inputs.float()), theirs)
        our_loss_B, _ = listwise_losses(self.fast.averaged(ours.inputs.float()), ours)
        gain_B = loss_B - our_loss_B
        self._sums += torch.stack(
            [weight_B.sum(), (weight_B * gain_B).sum(), (weight_B * gain_B**2).sum()]
        ).double()

    def state(self) -> dict[str, Tensor]:
        """Everything a resume needs, the encoder and its index aside."""
        state = named("fast", self.fast.state())
        return state | {"sums": self._sums, "steps": torch.tensor([self._taken, self._steps])}

    @staticmethod
    def resumed(
        encoder: TextEncoder, index: ItemIndex, fast: HeadTrainer, state: Mapping[str, Tensor]
    ) -> ShadowEvaluation:
        """Go on from ``state``; ``fast`` is any lane of the same recipe, and is taken over.

        Raises KeyError or RuntimeError when the state is of another shape.
        """
        taken, steps = state["steps"].tolist()
        challenge = ShadowEvaluation(encoder, index, fast, steps)
        fast.load_state(under("fast", state))
        challenge._taken, challenge._sums = taken, state["sums"].clone()
        return challenge
