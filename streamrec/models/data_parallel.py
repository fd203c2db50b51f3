"""Several processes that take each training step of an encoder together, as torchrun starts them.

Rank 0 is the trainer as ever: it alone reads mini-batches, keeps offsets, checkpoints and
releases. What a step needs is broadcast; every rank passes its part of the texts through its
own copy, gathers all vectors for the loss, and torch's DistributedDataParallel reduces the
gradients while they are computed. All then step the same optimiser by the same gradients, so
all have the same weights. N processes learn what one would.

gloo, also between GPUs. ``torchrun`` starts the processes of one host and ends them all when
one dies. A peer that dies is noticed at once (the connection breaks), one that hangs is not:
the trainer's lease lapses then, and another trainer may take its turn.

Shapes: B, U texts, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from streamrec.errors import GroupBroken
from streamrec.models.encoder import TextEncoder

IDLE = timedelta(days=365)
"""Between two steps lies as much time as the stream is silent."""

Forward = Callable[[Tensor, Tensor], Tensor]
"""Hidden states and mask to vectors (B, D): ``TextEncoder.forward``."""


class Ranks:
    """One process alone: nothing travels."""

    rank, size = 0, 1

    def broadcast(self, value: Any) -> Any:
        """What rank 0 gives; the others give None. No tensor in it may be on a GPU."""
        return value

    def shard(self, texts: Sequence[str]) -> Sequence[str]:
        """Our part, in order; at least one text. Too many ranks repeat the last text."""
        size = -(-len(texts) // self.size)
        return texts[self.rank * size : (self.rank + 1) * size] or texts[-1:]

    def gather(self, own_UD: Tensor) -> tuple[Tensor, slice]:
        """The vectors of all ranks in order, and where ours are."""
        return own_UD, slice(None)

    def data_parallel(self, encoder: TextEncoder) -> Forward:
        """The way through the encoder; every rank calls this at the same time."""
        return encoder.forward

    def reducing(self, _forward: Forward, *, last: bool) -> AbstractContextManager[None]:  # noqa: ARG002
        """Around one forward and backward pass; after the ``last`` all have all gradients."""
        return nullcontext()

    def shutdown(self) -> None:
        """Let the other ranks end, between two steps."""

    def close(self) -> None:
        """After the last call."""


class TorchrunRanks(Ranks):
    """The processes that ``torchrun`` started together. All methods raise GroupBroken.

    Values are pickled: these processes are one program, and nobody else's data is read so.
    """

    def __init__(self) -> None:
        """Waits until all have come; ``torchrun`` has told us who and where."""
        with _whole():
            distributed.init_process_group("gloo", timeout=IDLE)
        self.rank = distributed.get_rank()
        self.size = distributed.get_world_size()

    def broadcast(self, value: Any) -> Any:
        given = [value]
        with _whole():
            distributed.broadcast_object_list(given, src=0)
        return given[0]

    def gather(self, own_UD: Tensor) -> tuple[Tensor, slice]:
        found: list[Any] = [None] * self.size
        with _whole():
            distributed.all_gather_object(found, own_UD.cpu())
        before = sum(len(part) for part in found[: self.rank])
        return torch.cat(found).to(own_UD.device), slice(before, before + len(own_UD))

    def data_parallel(self, encoder: TextEncoder) -> Forward:
        with _whole():
            wrapped: Forward = nn.parallel.DistributedDataParallel(_Trained(encoder))
        return wrapped

    @contextmanager
    def reducing(self, forward: Forward, *, last: bool) -> Iterator[None]:
        assert isinstance(forward, nn.parallel.DistributedDataParallel)  # noqa: S101 - ours
        with nullcontext() if last else forward.no_sync(), _whole():
            yield

    def shutdown(self) -> None:
        self.broadcast(None)

    def close(self) -> None:
        distributed.destroy_process_group()


class _Trained(nn.Module):
    """The encoder's forward pass, with the parameters that are trained and no others."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self._parameters_trained = nn.ParameterList(encoder.trainable_parameters())
        self._encoder = encoder

    def forward(self, hidden_BTH: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, D). The gradients' mean over the ranks shall be their sum."""
        vectors_BD = self._encoder.forward(hidden_BTH, mask_BT)
        if vectors_BD.requires_grad:
            size = distributed.get_world_size()
            vectors_BD.register_hook(lambda g_BD: g_BD * size)  # type: ignore[no-untyped-call]
        return vectors_BD


def joined_ranks() -> Ranks:
    """The processes we were started with: ``torchrun``'s, or ourselves alone."""
    return TorchrunRanks() if distributed.is_torchelastic_launched() else Ranks()


@contextmanager
def _whole() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # gloo's only kind
        raise GroupBroken(
            "a process that learns along has died: its own last lines say why; torchrun ends us all"
        ) from error
