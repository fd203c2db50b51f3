"""What a query says of an item: closeness of text, and the items and categories it names.

Knows texts, vectors and the catalogue. Does not know what that is worth
(``tasks.ranking.model.head.QueryPart``).

A model reads some tens of words at once: of a longer query, such as the turns of a conversation,
its last ``WINDOWS`` pieces are read, each by itself.

Legend: A queries, C candidates, N catalogue rows, Q query inputs, D dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import Catalogue, IntArray
from streamrec.core.state.named_items import names_of, split
from streamrec.models.item_index import Reads
from streamrec.tasks.ranking.model.similarity import gather

QUERY_INPUTS = (
    "query_last",  # cosine with what the query says last
    "query_mean",  # with all of it
    "named_nearest",  # cosine with the nearest item that it names
    "named_mean",  # with the mean of them
    "is_named",
    "asks_category",  # share of the categories it names that the item has
    "category_asked",  # share of the item's categories that it names
)
COSINES = 4
"""The first of them."""
SPREAD = 0.1
"""Of a cosine between a query and an item that has nothing to do with it: inputs are counted in
these."""
WINDOWS, WINDOW_WORDS, WINDOW_CHARS = 3, 22, 160
NAMED = 8
"""Items named last that count."""


class _Asked(NamedTuple):
    """A query, and the candidates' rows (C,) and vectors (C, D)."""

    query: str
    rows_C: IntArray
    items_CD: Tensor


def windows(query: str) -> list[str]:
    """What is read of a query, the last piece first."""
    words, found = query.split(), list[str]()
    while words and len(found) < WINDOWS:
        found.append(" ".join(words[-WINDOW_WORDS:])[-WINDOW_CHARS:])
        words = words[:-WINDOW_WORDS]
    return found


def pieces_of(queries: Iterable[str]) -> list[str]:
    """All that is read of some queries, each piece once."""
    return list(dict.fromkeys(piece for query in queries for piece in windows(query)))


def query_inputs(
    queries: Sequence[str],
    rows: Sequence[IntArray],
    vectors_ND: Tensor,
    catalogue: Catalogue,
    encode: Reads,
) -> list[Tensor]:
    """Of each query and its candidates' catalogue ``rows`` (C,): (C, Q), 0 for UNKNOWN rows."""
    items = [gather(vectors_ND, torch.from_numpy(rows_C).long()) for rows_C in rows]
    asked = [_Asked(*one) for one in zip(queries, rows, items, strict=True)]
    return _inputs(asked, vectors_ND, catalogue, encode)


def catalogue_inputs(
    queries: Sequence[str], n: int, vectors_ND: Tensor, catalogue: Catalogue, encode: Reads
) -> list[Tensor]:
    """The same of all ``n`` rows of a catalogue: (N, Q) each."""
    rows_N = np.arange(n, dtype=np.int32)
    items_ND = functional.pad(vectors_ND[:n], (0, 0, 0, max(0, n - len(vectors_ND))))
    asked = [_Asked(query, rows_N, items_ND) for query in queries]
    return _inputs(asked, vectors_ND, catalogue, encode)


def _inputs(
    asked: Sequence[_Asked], vectors_ND: Tensor, catalogue: Catalogue, encode: Reads
) -> list[Tensor]:
    pieces = [windows(one.query) for one in asked]
    texts = list(dict.fromkeys(text for some in pieces for text in some))
    of = dict(zip(texts, encode(texts), strict=True)) if texts else {}
    found = []
    for (query, rows_C, items_CD), some in zip(asked, pieces, strict=True):
        read_WD = torch.stack([of[text] for text in some]) if some else vectors_ND[:0]
        named = catalogue.named(query)[-NAMED:]
        known_KD = vectors_ND[[row for row in named if row < len(vectors_ND)]]
        closeness_C4 = _closeness(read_WD, known_KD, items_CD)
        said_C3 = torch.from_numpy(_said(query, named, rows_C, catalogue))
        found.append(torch.cat([closeness_C4 / SPREAD, said_C3], dim=1))
    return found


def _closeness(read_WD: Tensor, named_KD: Tensor, items_CD: Tensor) -> Tensor:
    """Cosines with the last piece, all pieces, the nearest named item and their mean: (C, 4)."""
    closeness_C4 = torch.zeros(len(items_CD), COSINES)
    if len(read_WD):
        keys_2D = torch.stack([read_WD[0], functional.normalize(read_WD.mean(0), dim=0)])
        closeness_C4[:, :2] = items_CD @ keys_2D.T
    if len(named_KD):
        cosines_CK = items_CD @ named_KD.T
        closeness_C4[:, 2], closeness_C4[:, 3] = cosines_CK.amax(1), cosines_CK.mean(1)
    return closeness_C4


def _said(query: str, named: Sequence[int], rows_C: IntArray, catalogue: Catalogue) -> FloatArray:
    """Whether it is named beside other words, and how its categories and those that are named
    agree: (C, 3). Who says a name and nothing else wants the item, not what is like it."""
    said_C3 = np.zeros((len(rows_C), 3), np.float32)
    if not any(split(query) in names_of(catalogue.item(row).title) for row in named):
        said_C3[:, 0] = np.isin(rows_C, named)
    categories = catalogue.categories_named(query)
    if not categories:
        return said_C3
    known_C = rows_C >= 0
    own_CM = catalogue.categories[rows_C]
    both_C = np.isin(own_CM, categories).sum(1)
    said_C3[:, 1] = np.where(known_C, both_C / len(categories), 0.0)
    own_C = (own_CM != catalogue.category_count).sum(1)
    said_C3[:, 2] = np.where(known_C, both_C / np.maximum(own_C, 1), 0.0)
    return said_C3
