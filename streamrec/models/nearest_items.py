"""The items whose texts are nearest to a vector, found without looking at all of them.

Inverted lists around centroids (Jégou et al. 2011), a byte a dimension, by faiss: what it misses
is measured, not promised. Rows come, change and go while others search. Knows catalogue rows and
their unit vectors. Does not know texts, users, or what is asked for.

Shapes: N catalogue rows, D dimensions, S rows put, Q queries, K found.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamrec.core.state.catalogue import UNKNOWN, BoolArray, IntArray

PROBED = 64
"""Inverted lists that are searched for a query."""
LEARNED_FROM = 40
"""Rows a centroid is learned from."""
ROUNDS = 5
"""Of k-means. The lists need not be the best, only of like size."""
GROWTH = 2
"""An index of so many times the rows that its centroids were learned from is outgrown."""
SIBLINGS = 20
"""Nearest items of an item that are remembered."""
TOUCHED = 100
"""Items nearest to one that came, whose siblings are found anew."""
AT_ONCE = 50_000
"""Rows copied at once while it is built."""
MANY = 1_000
"""Where so many come at once, all are."""


class NearestItems:
    """Rows of unit vectors, by closeness. A zero vector is never found."""

    def __init__(self, vectors_ND: Tensor) -> None:
        self._lock = threading.Lock()
        self._siblings: dict[int, IntArray] = {}
        self._learned_from = max(1, len(vectors_ND))
        self._index = _empty(vectors_ND)
        for start in range(0, len(vectors_ND), AT_ONCE):
            part_SD = vectors_ND[start : start + AT_ONCE]
            self._add(np.arange(start, start + len(part_SD)), part_SD)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def outgrown(self) -> bool:
        """Whether its lists have become too long: time to make another."""
        return len(self) > GROWTH * self._learned_from

    def put(self, rows: Sequence[int], vectors_SD: Tensor) -> None:
        """New vectors of rows; those of zeros go."""
        rows_S = np.asarray(rows, np.int64)
        with self._lock:
            self._index.remove_ids(faiss.IDSelectorArray(rows_S))
            self._add(rows_S, vectors_SD)
            self._forget(rows_S, vectors_SD)

    def search(
        self, queries_QD: Tensor, count: int, allowed_N: BoolArray | None = None
    ) -> IntArray:
        """The ``count`` nearest rows of each query, of those allowed: (Q, K), UNKNOWN behind."""
        with self._lock:
            return self._search(queries_QD, count, allowed_N)

    def siblings(self, rows: Sequence[int], vectors_ND: Tensor) -> list[IntArray]:
        """The ``SIBLINGS`` nearest of each row, remembered."""
        with self._lock:
            missing = [row for row in dict.fromkeys(rows) if row not in self._siblings]
            if missing:
                found = self._search(vectors_ND[missing], SIBLINGS + 1, None)
                self._siblings |= {
                    row: near[(near != row) & (near != UNKNOWN)]
                    for row, near in zip(missing, found, strict=True)
                }
            return [self._siblings[row] for row in rows]

    def _forget(self, rows_S: NDArray[np.int64], vectors_SD: Tensor) -> None:
        """Siblings of what was put, and of what is near to it."""
        if len(rows_S) > MANY:
            self._siblings.clear()
            return
        near = self._search(vectors_SD, TOUCHED, None)
        for row in {*rows_S.tolist(), *near.ravel().tolist()}:
            self._siblings.pop(row, None)

    def _add(self, rows_S: NDArray[np.int64], vectors_SD: Tensor) -> None:
        there_S = (vectors_SD != 0).any(dim=1).numpy()
        if there_S.any():
            self._index.add_with_ids(_floats(vectors_SD)[there_S], rows_S[there_S])

    def _search(self, queries_QD: Tensor, count: int, allowed_N: BoolArray | None) -> IntArray:
        if not len(queries_QD):
            return np.zeros((0, count), np.int32)
        params = faiss.SearchParametersIVF(nprobe=min(PROBED, self._index.nlist))
        if allowed_N is not None:
            bits = np.packbits(allowed_N, bitorder="little")
            few = max(1e-3, float(allowed_N.mean()))
            params = faiss.SearchParametersIVF(
                sel=faiss.IDSelectorBitmap(bits),
                nprobe=min(int(PROBED / few), self._index.nlist),
            )
        _, found_QK = self._index.search(_floats(queries_QD), count, params=params)
        return np.asarray(found_QK, np.int32)


def _floats(vectors: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(vectors.float().numpy())


def _empty(vectors_ND: Tensor) -> Any:
    """Centroids and bounds learned from a part of the vectors; nothing in it."""
    known_R = (vectors_ND != 0).any(dim=1).nonzero().flatten()
    lists = max(1, int(4 * len(known_R) ** 0.5)) if len(known_R) > LEARNED_FROM else 1
    drawn = torch.randperm(len(known_R), generator=torch.Generator().manual_seed(0))
    learned = vectors_ND[known_R[drawn[: LEARNED_FROM * lists]]]
    if not len(learned):
        learned = torch.nn.functional.normalize(torch.ones(1, vectors_ND.shape[1]), dim=-1)
    dim, inner = vectors_ND.shape[1], faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dim), dim, lists, faiss.ScalarQuantizer.QT_8bit, inner, False
    )
    index.cp.niter, index.cp.min_points_per_centroid = ROUNDS, 1
    index.train(_floats(learned))
    index.set_direct_map_type(faiss.DirectMap.Hashtable)
    return index
