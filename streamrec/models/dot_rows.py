"""How close items that users have had lately are to every item, remembered.

What is popular is in many histories, so the same few thousand rows of the item-by-item
matrix of cosines are asked for again and again. Knows the vectors of one index at one
moment and keeps the rows asked for last. Does not know users or what a cosine is worth.

For one thread. Legend: T rows asked for, N indexed items, D dimensions.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import torch
from torch import Tensor

BUDGET_BYTES = 128 << 20
"""Kept rows take 4 × N bytes each: 3,300 of them among 10,000 items, 330 among 100,000."""


class DotRows:
    """Rows of ``vectors_ND @ vectors_ND.T``, computed when first asked for."""

    def __init__(self, vectors_ND: Tensor, budget_bytes: int = BUDGET_BYTES) -> None:
        self.vectors_ND = vectors_ND
        self._capacity = budget_bytes // (4 * max(1, len(vectors_ND)))
        self._slot_of: OrderedDict[int, int] = OrderedDict()  # the one asked for last is last
        self._table_KN: Tensor | None = None

    def find(self, rows: Iterable[int]) -> tuple[Tensor, dict[int, int]]:
        """A table (K, N) and the place in it of each row; it holds until the next call.

        The row of an item that is not indexed yet is zero.
        """
        wanted = dict.fromkeys(rows)
        if len(wanted) > self._capacity:
            return self._dots(list(wanted)), {row: at for at, row in enumerate(wanted)}
        if self._table_KN is None:  # memory is taken page by page, as rows are written
            self._table_KN = torch.empty(self._capacity, len(self.vectors_ND), dtype=torch.float32)
        for row in wanted.keys() & self._slot_of.keys():
            self._slot_of.move_to_end(row)
        missing = [row for row in wanted if row not in self._slot_of]
        if missing:
            slots = [self._free_slot(row) for row in missing]
            self._table_KN[slots] = self._dots(missing)
        return self._table_KN, {row: self._slot_of[row] for row in wanted}

    def _free_slot(self, row: int) -> int:
        full = len(self._slot_of) == self._capacity
        slot = self._slot_of.popitem(last=False)[1] if full else len(self._slot_of)
        self._slot_of[row] = slot
        return slot

    def _dots(self, rows: list[int]) -> Tensor:
        at_T = torch.tensor(rows, dtype=torch.int64)
        known_T = at_T < len(self.vectors_ND)
        asked_TD = self.vectors_ND[torch.where(known_T, at_T, 0)] * known_T[:, None]
        return asked_TD @ self.vectors_ND.T
