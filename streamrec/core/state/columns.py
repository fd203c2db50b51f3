"""A growing numpy column, addressed by row.

It grows without copying at every append.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


class Column(Generic[Scalar]):
    """An array of shape (rows, *shape) whose unset rows hold ``fill``."""

    def __init__(self, shape: tuple[int, ...], dtype: type[Scalar], fill: Any = 0) -> None:
        self._fill = fill
        self._data: NDArray[Scalar] = np.full((0, *shape), fill, dtype)

    def set(self, row: int, value: Any) -> None:
        self.reserve(row + 1)
        self._data[row] = value

    def reserve(self, rows: int) -> None:
        """Make room for ``rows`` rows; what is there stays."""
        if rows <= len(self._data):
            return
        grown = np.full((max(rows, 2 * len(self._data), 64), *self._data.shape[1:]), self._fill)
        grown = grown.astype(self._data.dtype)
        grown[: len(self._data)] = self._data
        self._data = grown

    def view(self, rows: int) -> NDArray[Scalar]:
        """The first ``rows`` rows, not copied."""
        self.reserve(rows)
        return self._data[:rows]
