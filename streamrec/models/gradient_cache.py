"""Gradients of a loss over all texts of a step, the encoder's memory bounded by a piece.

A softmax over a whole batch is no sum over parts of it: plain accumulation, part by part,
would give every example fewer negatives. So the pieces meet in the vectors (Gao et al. 2021,
"Scaling deep contrastive learning batch size under memory limited setup"):

1. vectors of all pieces;
2. the loss over all of them, and its gradient by each vector;
3. each piece's gradients, from its vectors' share. Of several pieces their vectors are
   computed anew for it, so that what lies between need not be kept.

The sum is the gradient of one large batch, up to rounding. Other processes can do 1 and 3 of
some of the pieces (``models.data_parallel``).

Knows the order of things. Does not know the way through the encoder (``models.gradient_pieces``),
examples or optimisers.

Shapes: B texts of a piece, U texts of all pieces, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from streamrec.models.data_parallel import Followers
from streamrec.models.encoder import TextEncoder
from streamrec.models.gradient_pieces import Pass, Piece


class Piecewise:
    """Backward passes through one encoder."""

    def __init__(
        self,
        encoder: TextEncoder,
        *,
        bfloat16: bool = False,
        followers: Followers | None = None,
    ) -> None:
        """``bfloat16``: the trained layers compute in it; weights, vectors and loss do not."""
        self._encoder = encoder
        self._bfloat16 = bfloat16
        self._followers = followers or Followers()

    def backward(
        self, pieces: Sequence[Piece], loss_of: Callable[[Tensor], Tensor], seed: int
    ) -> float:
        """Add gradients to the encoder's parameters and whatever else the loss depends on.

        ``loss_of``: vectors (U, D) to a scalar. Returns the loss.
        """
        weights = self._encoder.trainable_parameters()
        own = self._followers.deal(pieces, weights, seed, self._bfloat16)
        passing = Pass(self._encoder, own, seed, self._bfloat16)
        vectors = self._followers.vectors(passing.vectors())
        all_UD = torch.cat([part_BD.to(self._encoder.device) for part_BD in vectors])
        loss = loss_of(all_UD.requires_grad_())
        torch.autograd.backward(loss)
        assert all_UD.grad is not None  # noqa: S101 - a leaf of the loss
        shares = dict(enumerate(torch.split(all_UD.grad, [len(part_BD) for part_BD in vectors])))
        self._followers.share(shares)
        passing.backward(shares)
        self._followers.add_gradients(pieces, weights)
        return loss.item()
