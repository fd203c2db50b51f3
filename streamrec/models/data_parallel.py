"""Several processes that take one training step together: what travels, and who does what.

Rank 0 is the trainer as ever: it alone reads mini-batches, keeps offsets, checkpoints and
releases. The others (``follow``) hold the same frozen model and nothing that must survive
them: the weights to use come with every order. So N processes learn what one would, and
offsets stay exact. Of a backward pass (``models.gradient_cache``), in this order:

1. ``deal``: each rank gets some of the pieces, and the weights;
2. ``vectors``: what every rank makes of its pieces;
3. ``share``: the loss's gradient by those vectors, computed by rank 0;
4. ``add_gradients``: each rank's gradients, added to rank 0's in the order of ranks.

Knows pieces and gradients. Does not know the encoder's inside, losses or optimisers, nor how
values travel (``models.distributed``).

Shapes: B texts of a piece, T tokens, H hidden units, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from streamrec.models.distributed import Alone, Group
from streamrec.models.encoder import TextEncoder
from streamrec.models.gradient_pieces import Pass, Piece


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """What one rank is to do. ``weights``: of the trainable parameters, in their order."""

    pieces: Mapping[int, Piece]  # by their number in the step
    weights: Sequence[Tensor]
    seed: int
    bfloat16: bool


@dataclass(frozen=True, slots=True, eq=False)
class Gradients:
    """What one rank found: by each trainable parameter, by what entered each piece."""

    weights: Sequence[Tensor | None]
    entering: Mapping[int, Tensor]


class Followers:
    """The other ranks, as rank 0 sees them. Without a group there are none."""

    def __init__(self, group: Group | None = None) -> None:
        self._group = group or Alone()
        self._hands: list[dict[int, Piece]] = [{}]

    @property
    def processes(self) -> int:
        """Ourselves included. A step in at least as many pieces keeps all of them busy."""
        return self._group.size

    def deal(
        self, pieces: Sequence[Piece], weights: Sequence[nn.Parameter], seed: int, bfloat16: bool
    ) -> dict[int, Piece]:
        """Every rank its pieces; ours are returned."""
        size, numbered = self._group.size, list(enumerate(pieces))
        self._hands = [dict(numbered[rank::size]) for rank in range(size)]
        others = self._hands[1:]
        sent = [p.detach().cpu() for p in weights] if others else []
        orders = [
            Order({n: _travelling(p) for n, p in hand.items()}, sent, seed, bfloat16)
            for hand in others
        ]
        self._group.scatter([None, *orders])
        return self._hands[0]

    def vectors(self, own: Mapping[int, Tensor]) -> list[Tensor]:
        """(B, D) of every piece of the step, in their order."""
        found: dict[int, Tensor] = {}
        for theirs in self._group.gather(own):
            found |= theirs
        return [found[n] for n in sorted(found)]

    def share(self, gradients: Mapping[int, Tensor]) -> None:
        """The loss's gradient by the vectors of each piece, to whoever has the piece."""
        shares = [{n: gradients[n].clone().cpu() for n in hand} for hand in self._hands[1:]]
        self._group.scatter([None, *shares])

    def add_gradients(self, pieces: Sequence[Piece], weights: Sequence[nn.Parameter]) -> None:
        """Wait for all; what they found is added to our parameters' and pieces' gradients."""
        for theirs in self._group.gather(None)[1:]:
            for parameter, gradient in zip(weights, theirs.weights, strict=True):
                if gradient is not None:
                    moved = gradient.to(parameter.device)
                    parameter.grad = moved if parameter.grad is None else parameter.grad + moved
            for n, gradient in theirs.entering.items():
                entered = pieces[n].entering_BTH
                torch.autograd.backward(entered, gradient.to(entered.device))

    def dismiss(self) -> None:
        """Let them end, between two steps."""
        self._group.scatter([None] * self._group.size)


def follow(group: Group, encoder: TextEncoder) -> None:
    """What every rank but the first does, until it is dismissed: compute for rank 0.

    ``encoder`` has the same frozen model and adapter method as rank 0's; it is left with the
    weights of the last order.

    Raises:
        GroupBroken: rank 0 is gone.
    """
    parameters = encoder.trainable_parameters()
    while (order := group.scatter(None)) is not None:
        _take_weights(parameters, order.weights)
        pieces = {n: _arrived(piece, encoder.device) for n, piece in order.pieces.items()}
        passing = Pass(encoder, pieces, order.seed, order.bfloat16)
        group.gather({n: vectors_BD.cpu() for n, vectors_BD in passing.vectors().items()})
        shares = group.scatter(None)
        passing.backward({n: share_BD.to(encoder.device) for n, share_BD in shares.items()})
        group.gather(_found(parameters, pieces))


def _take_weights(parameters: Sequence[nn.Parameter], weights: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for parameter, weight in zip(parameters, weights, strict=True):
            parameter.copy_(weight)
            parameter.grad = None


def _found(parameters: Sequence[nn.Parameter], pieces: Mapping[int, Piece]) -> Gradients:
    entering = {n: piece.entering_BTH.grad for n, piece in pieces.items()}
    return Gradients(
        [None if p.grad is None else p.grad.cpu() for p in parameters],
        {n: gradient.cpu() for n, gradient in entering.items() if gradient is not None},
    )


def _travelling(piece: Piece) -> Piece:
    """A leaf on the processor that asks for a gradient if the piece does."""
    return _arrived(piece, torch.device("cpu"))


def _arrived(piece: Piece, device: torch.device) -> Piece:
    wanted = piece.entering_BTH.requires_grad
    entering_BTH = piece.entering_BTH.detach().to(device).requires_grad_(wanted)
    return Piece(entering_BTH, piece.mask_BT.to(device))
