"""Some of the texts of a training step, and their way through the trained layers and back.

Knows an encoder. Does not know the loss, what the other pieces are, or why a piece was changed
on its way (``lab.ablations.regularisers``).

Shapes: B texts of a piece, T tokens, H hidden units, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from streamrec.models.encoder import TextEncoder

TEXTS, TOKENS = 16, 8
"""What the numbers of texts and tokens that pass together are multiples of."""


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


class Pass:
    """The pieces of one process, by their number in the step: there, and back.

    One piece's way there is remembered; of several each is gone again on the way back, so that
    memory is bounded by a piece.
    """

    def __init__(
        self, encoder: TextEncoder, pieces: Mapping[int, Piece], seed: int, bfloat16: bool
    ) -> None:
        """``seed``: of the dropout, the same there and back."""
        self._encoder = encoder
        self._pieces = pieces
        self._seed = seed
        self._bfloat16 = bfloat16
        self._kept: dict[int, Tensor] = {}

    def vectors(self) -> dict[int, Tensor]:
        """(B, D) of each piece, detached."""
        with torch.set_grad_enabled(len(self._pieces) == 1):
            found = {n: self._onward(n) for n in self._pieces}
        if len(found) == 1:
            self._kept = found
        return {n: vectors_BD.detach() for n, vectors_BD in found.items()}

    def backward(self, shares: Mapping[int, Tensor]) -> None:
        """Add gradients, given those of the loss by each piece's vectors."""
        for n in self._pieces:
            vectors_BD = self._kept[n] if n in self._kept else self._onward(n)
            torch.autograd.backward(vectors_BD, shares[n])

    def _onward(self, n: int) -> Tensor:
        device, piece = self._encoder.device, self._pieces[n]
        forked = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=forked), self._encoder.dropping_out():
            torch.manual_seed(self._seed + n)
            with torch.autocast(device.type, torch.bfloat16, enabled=self._bfloat16):
                vectors_BD = self._encoder.onward(*of_few_shapes(piece))
        return vectors_BD[: len(piece.mask_BT)]


def of_few_shapes(piece: Piece) -> tuple[Tensor, Tensor]:
    """What enters and its mask, padded: texts to a multiple of TEXTS, tokens to one of TOKENS.

    Steps have another number of texts, and of tokens in the longest, each time; kernels are made
    and kept for every new shape, so that memory grew with each step (docs/adr/0046). Added texts
    repeat the last one, behind all others.
    """
    entering_BTH, mask_BT = piece.entering_BTH, piece.mask_BT
    texts, tokens = mask_BT.shape
    longer = -tokens % TOKENS
    entering_BTH = functional.pad(entering_BTH, (0, 0, 0, longer))
    mask_BT = functional.pad(mask_BT, (0, longer))
    rows_B = torch.arange(texts + -texts % TEXTS, device=mask_BT.device).clamp(max=texts - 1)
    return entering_BTH[rows_B], mask_BT[rows_B]
