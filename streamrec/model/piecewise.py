"""Gradients of a loss over all texts of a step, the encoder's memory bounded by a piece.

A softmax over a whole batch is no sum over parts of it: plain accumulation, part by part,
would give every example fewer negatives. So the pieces meet in the vectors (Gao et al. 2021,
"Scaling deep contrastive learning batch size under memory limited setup"):

1. vectors of all pieces, without gradients;
2. the loss over all of them, and its gradient by each vector;
3. each piece again, with gradients, from its vectors' share.

The sum is the gradient of one large batch, up to rounding. One piece takes the short way.

Knows an encoder and a loss over vectors. Does not know examples, optimisers or why a piece
was changed on its way (``model.regularisers``).

Shapes: B texts of a piece, T tokens, H hidden units, U texts of all pieces, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from streamrec.model.encoder import TextEncoder


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What enters the trained layers of some of the texts (``TextEncoder.entering``)."""

    entering_BTH: Tensor
    mask_BT: Tensor

    def want_gradient(self) -> None:
        """Keep the loss's gradient by what enters."""
        if self.entering_BTH.requires_grad:  # embeddings are trained themselves
            self.entering_BTH.retain_grad()
        else:
            self.entering_BTH.requires_grad_()

    @property
    def gradient(self) -> Tensor:
        """(B, T, H), after ``Piecewise.backward``. Raises ValueError when nobody wanted it."""
        if self.entering_BTH.grad is None:
            raise ValueError("no gradient was kept: want_gradient() comes before backward()")
        return self.entering_BTH.grad


class Piecewise:
    """Backward passes through one encoder."""

    def __init__(self, encoder: TextEncoder, *, bfloat16: bool = False) -> None:
        """``bfloat16``: the trained layers compute in it; weights, vectors and loss do not."""
        self._encoder = encoder
        self._bfloat16 = bfloat16

    def backward(
        self, pieces: Sequence[Piece], loss_of: Callable[[Tensor], Tensor], seed: int
    ) -> float:
        """Add gradients to the encoder's parameters and whatever else the loss depends on.

        ``loss_of``: vectors (U, D) to a scalar. ``seed``: of the dropout, the same in both
        passes of a piece. Returns the loss.
        """
        if len(pieces) == 1:
            loss = loss_of(self._vectors(pieces[0], seed))
            torch.autograd.backward(loss)
            return loss.item()
        with torch.no_grad():
            vectors = [self._vectors(piece, seed + n) for n, piece in enumerate(pieces)]
        all_UD = torch.cat(vectors).requires_grad_()
        loss = loss_of(all_UD)
        torch.autograd.backward(loss)
        assert all_UD.grad is not None  # noqa: S101 - a leaf of the loss
        shares = torch.split(all_UD.grad, [len(own_BD) for own_BD in vectors])
        for n, (piece, share_BD) in enumerate(zip(pieces, shares, strict=True)):
            torch.autograd.backward(self._vectors(piece, seed + n), share_BD)
        return loss.item()

    def _vectors(self, piece: Piece, seed: int) -> Tensor:
        device = self._encoder.device
        forked = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=forked), self._encoder.dropping_out():
            torch.manual_seed(seed)
            with torch.autocast(device.type, torch.bfloat16, enabled=self._bfloat16):
                return self._encoder.onward(piece.entering_BTH, piece.mask_BT)
