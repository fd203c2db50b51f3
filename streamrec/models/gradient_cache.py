"""Gradients of a loss over all texts of a step, the encoder's memory bounded by a chunk of them.

A softmax over a whole batch is no sum over parts of it: plain accumulation, part by part,
would give every example fewer negatives. So the chunks meet in the vectors (Gao et al. 2021,
"Scaling deep contrastive learning batch size under memory limited setup"):

1. vectors of all chunks;
2. the loss over all of them, and its gradient by each vector;
3. each chunk's gradients, from those of its vectors. Of several chunks the vectors are
   computed anew for it, so that what lies between need not be kept.

The sum is the gradient of one large batch, up to rounding. Where several processes train, each
has chunks of its own: vectors are gathered after 1, gradients reduced in 3 (``data_parallel``).

Shapes: B texts of a chunk, U texts of a step, T tokens, H hidden units, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from streamrec.models.data_parallel import Ranks
from streamrec.models.encoder import TextEncoder

TEXTS, TOKENS = 16, 8
"""What the numbers of texts and tokens that pass together are multiples of."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """What enters the trained layers of some of the texts (``TextEncoder.hidden_states``)."""

    hidden_BTH: Tensor
    mask_BT: Tensor

    def want_gradient(self) -> None:
        """Keep the loss's gradient by the hidden states."""
        if self.hidden_BTH.requires_grad:  # embeddings are trained themselves
            self.hidden_BTH.retain_grad()
        else:
            self.hidden_BTH.requires_grad_()

    @property
    def gradient(self) -> Tensor:
        """(B, T, H), after a backward pass. Raises ValueError when nobody wanted it."""
        if self.hidden_BTH.grad is None:
            raise ValueError("no gradient was kept: want_gradient() comes before backward()")
        return self.hidden_BTH.grad


class GradientCache:
    """Backward passes through one encoder."""

    def __init__(
        self, encoder: TextEncoder, *, bfloat16: bool = False, ranks: Ranks | None = None
    ) -> None:
        """``bfloat16``: the trained layers compute in it; weights, vectors and loss do not."""
        self._device = encoder.device
        self._dropping_out = encoder.dropping_out
        self._bfloat16 = bfloat16
        self._ranks = ranks or Ranks()
        self._forward = self._ranks.data_parallel(encoder)

    def backward(
        self, chunks: Sequence[Chunk], loss_of: Callable[[Tensor], Tensor], seed: int
    ) -> float:
        """Add gradients to the encoder's parameters and whatever else the loss depends on.

        ``loss_of``: vectors (U, D) to a scalar. ``seed``: of the dropout, the same in both
        forward passes. Returns the loss.
        """
        with torch.set_grad_enabled(len(chunks) == 1):  # one: its way is kept, not repeated
            vectors = [self._vectors(chunk, seed + n) for n, chunk in enumerate(chunks)]
        counts = [len(part_BD) for part_BD in vectors]
        own_UD = torch.cat([part_BD.detach() for part_BD in vectors])
        all_UD, mine = self._ranks.gather(own_UD)
        loss = loss_of(all_UD.requires_grad_())
        torch.autograd.backward(loss)
        assert all_UD.grad is not None  # noqa: S101 - a leaf of the loss
        gradients = torch.split(all_UD.grad[mine], counts)
        for n, (chunk, gradient_BD) in enumerate(zip(chunks, gradients, strict=True)):
            with self._ranks.reducing(self._forward, last=n == len(chunks) - 1):
                again = vectors[n] if len(chunks) == 1 else self._vectors(chunk, seed + n)
                torch.autograd.backward(again, gradient_BD)
        return loss.item()

    def _vectors(self, chunk: Chunk, seed: int) -> Tensor:
        """(B, D)"""
        device = self._device
        forked = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=forked), self._dropping_out():
            torch.manual_seed(seed)
            with torch.autocast(device.type, torch.bfloat16, enabled=self._bfloat16):
                vectors_BD = self._forward(*of_few_shapes(chunk))
        return vectors_BD[: len(chunk.mask_BT)]


def of_few_shapes(chunk: Chunk) -> tuple[Tensor, Tensor]:
    """Hidden states and mask, padded: texts to a multiple of TEXTS, tokens to one of TOKENS.

    Steps have another number of texts, and of tokens in the longest, each time; kernels are made
    and kept for every new shape, so that memory grew with each step (docs/adr/0046). Added texts
    repeat the last one, behind all others.
    """
    hidden_BTH, mask_BT = chunk.hidden_BTH, chunk.mask_BT
    texts, tokens = mask_BT.shape
    longer = -tokens % TOKENS
    hidden_BTH = functional.pad(hidden_BTH, (0, 0, 0, longer))
    mask_BT = functional.pad(mask_BT, (0, longer))
    rows_B = torch.arange(texts + -texts % TEXTS, device=mask_BT.device).clamp(max=texts - 1)
    return hidden_BTH[rows_B], mask_BT[rows_B]
