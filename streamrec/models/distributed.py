"""Processes that compute together, and how values travel between them.

Knows gloo: through the processors' memory, also between GPUs. That is enough for adapters; a
fully fine-tuned model's weights and gradients travel whole, each step. Does not know what the
values mean (``models.data_parallel``).

``torchrun`` starts the processes of one host and ends them all when one dies. A peer that
dies is noticed at once (the connection breaks), one that hangs is not: the trainer's lease
lapses then, and another trainer may take its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Protocol

from torch import distributed

from streamrec.errors import GroupBroken

PATIENCE = timedelta(days=365)
"""Between two steps lies as much time as the stream is silent."""


class Group(Protocol):
    """Every rank makes the same calls in the same order; all raise GroupBroken."""

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    def scatter(self, values: Sequence[Any] | None) -> Any:
        """Rank 0 gives one value to each rank, itself included; the others give None."""
        ...

    def gather(self, value: Any) -> list[Any]:
        """Rank 0 gets what every rank gives, by rank; the others get nothing."""
        ...

    def close(self) -> None:
        """After the last call."""
        ...


class Alone:
    """A group of one: nothing travels."""

    rank, size = 0, 1

    def scatter(self, values: Sequence[Any] | None) -> Any:
        assert values is not None  # noqa: S101 - rank 0 gives
        return values[0]

    def gather(self, value: Any) -> list[Any]:
        return [value]

    def close(self) -> None:
        """Nothing to let go."""


class Gloo:
    """The processes that ``torchrun`` started together.

    Values are pickled: these processes are one program, and nobody else's data is read so.
    Tensors must be on the processor, not on a GPU.
    """

    def __init__(self) -> None:
        """Waits until all have come; ``torchrun`` has told us who and where."""
        _whole(lambda: distributed.init_process_group("gloo", timeout=PATIENCE))
        self.rank = distributed.get_rank()
        self.size = distributed.get_world_size()

    def scatter(self, values: Sequence[Any] | None) -> Any:
        mine: list[Any] = [None]
        given = list(values) if values is not None else None
        _whole(lambda: distributed.scatter_object_list(mine, given, src=0))
        return mine[0]

    def gather(self, value: Any) -> list[Any]:
        found: list[Any] = [None] * self.size
        into = found if self.rank == 0 else None
        _whole(lambda: distributed.gather_object(value, into, dst=0))
        return found if self.rank == 0 else []

    def close(self) -> None:
        distributed.destroy_process_group()


def joined_group() -> Group:
    """The group this process was started in: ``torchrun``'s, or itself alone."""
    return Gloo() if distributed.is_torchelastic_launched() else Alone()


def _whole(exchange: Callable[[], object]) -> None:
    try:
        exchange()
    except RuntimeError as error:  # gloo's only kind
        raise GroupBroken(
            "a process that learns along has died: its own last lines say why; torchrun ends us all"
        ) from error
