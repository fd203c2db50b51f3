"""Where candidates come from.

Anybody: items that share a statistic of pairs with the history, the best by the head's item part,
those whose texts are nearest to what the history has been about, and the nearest of each of its
last items. Who asks for something: also what is nearest to the words, the items named and what is
nearest to them. Where a request leaves few items, all of these; where it leaves many, the best
by item part and the nearest among them.

Knows rows. Does not know scores of users (``tasks.ranking.candidates.ranking``).

Legend: K keys of a user, D dimensions, R rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from streamrec.core.state.catalogue import Catalogue, IntArray
from streamrec.models.item_index import Reads
from streamrec.models.nearest_items import NearestItems
from streamrec.tasks.ranking.candidates.item_order import ItemOrder
from streamrec.tasks.ranking.features import FeatureMaker
from streamrec.tasks.ranking.inputs import RECENT
from streamrec.tasks.ranking.lists.model_ports import PoolRequest
from streamrec.tasks.ranking.model.query_inputs import NAMED, windows
from streamrec.tasks.ranking.model.similarity import history_keys, padded_rows

BY_ITEM = 300
BY_TEXT = 200
"""Nearest to each of a history's means; a query's words; a query's named items."""
MEANS = (0, 2)
"""Of ``similarity.history_keys``: the decayed mean, and that of the last three."""
FEW = 2_000
"""A request that leaves no more than this has all of them scored."""


@dataclass(frozen=True, slots=True, eq=False)
class CandidateSources:
    """What candidates are found with, at one moment."""

    nearest: NearestItems
    order: ItemOrder
    vectors_ND: Tensor
    catalogue: Catalogue
    features: FeatureMaker
    encode: Reads | None = None


def pools(asked: Sequence[PoolRequest], of: CandidateSources) -> list[IntArray]:
    """Of each request its candidates, ascending."""
    many = [one for one in asked if one.among is None or len(one.among) > FEW]
    found = dict(zip(map(id, many), _pools(many, of), strict=True))
    return [found[id(one)] if id(one) in found else _all_left(one) for one in asked]


def _all_left(one: PoolRequest) -> IntArray:
    return np.zeros(0, np.int32) if one.among is None else one.among


def _pools(asked: Sequence[PoolRequest], of: CandidateSources) -> list[IntArray]:
    """Of requests that leave more than can be scored."""
    histories = [of.catalogue.rows(one.user.history) for one in asked]
    near = _nearest(asked, histories, of)
    siblings = _siblings(histories, of)
    return [
        _pool(one, [*texts, *of_last], of)
        for one, texts, of_last in zip(asked, near, siblings, strict=True)
    ]


def _pool(one: PoolRequest, texts: Sequence[IntArray], of: CandidateSources) -> IntArray:
    rows, count = len(of.catalogue), max(BY_ITEM, one.reach)
    found: list[IntArray] = [*texts, of.order.newer(rows)]
    found.append(of.features.sharing(one.user.history))
    if one.query:
        found.append(np.asarray(of.catalogue.named(one.query), np.int32))
        found += [of.order.of_category(c) for c in of.catalogue.categories_named(one.query)]
    if one.among is None:
        found.append(of.order.best(count, of.catalogue.rows(one.user.consumed)))
    else:
        found.append(of.order.best_of(count, one.among))
    pool = np.unique(np.concatenate(found)).astype(np.int32)
    pool = pool[(pool >= 0) & (pool < rows)]
    return pool if one.among is None else np.intersect1d(pool, one.among)


def _nearest(
    asked: Sequence[PoolRequest], histories: Sequence[IntArray], of: CandidateSources
) -> list[list[IntArray]]:
    """Of each request, what is nearest to its keys: all that leave everything at once."""
    found: list[list[IntArray]] = [[] for _ in asked]
    keys_BKD, _ = history_keys(of.vectors_ND, padded_rows(histories))
    wanted = [_keys(one, means_KD, of) for one, means_KD in zip(asked, keys_BKD, strict=True)]
    free = [b for b, one in enumerate(asked) if one.among is None]
    if free:
        near_QK = of.nearest.search(torch.cat([wanted[b] for b in free]), BY_TEXT)
        ends = np.cumsum([len(wanted[b]) for b in free])[:-1]
        for b, rows in zip(free, np.split(near_QK, ends), strict=True):
            found[b].append(rows.ravel())
    for b, one in enumerate(asked):
        if one.among is not None:
            allowed_N = np.zeros(len(of.vectors_ND), np.bool_)
            allowed_N[one.among[one.among < len(allowed_N)]] = True
            found[b].append(of.nearest.search(wanted[b], BY_TEXT, allowed_N).ravel())
    return found


def _siblings(histories: Sequence[IntArray], of: CandidateSources) -> list[list[IntArray]]:
    """Of each history, what is nearest to each of its last items."""
    known = len(of.vectors_ND)
    last = [[row for row in rows[-RECENT:].tolist() if 0 <= row < known] for rows in histories]
    every = [row for rows in last for row in rows]
    found = iter(of.nearest.siblings(every, of.vectors_ND))
    return [[next(found) for _ in rows] for rows in last]


def _keys(one: PoolRequest, means_KD: Tensor, of: CandidateSources) -> Tensor:
    """What the nearest are looked for of: (K, D)."""
    keys = [means_KD[list(MEANS)]]
    if one.query:
        named = [row for row in of.catalogue.named(one.query)[-NAMED:] if row < len(of.vectors_ND)]
        keys.append(of.vectors_ND[named])
        if of.encode is not None and (pieces := windows(one.query)):
            read_WD = of.encode(pieces)
            keys += [read_WD[:1], read_WD.mean(0, keepdim=True)]
    found = torch.cat(keys)
    return found[(found != 0).any(dim=1)]
