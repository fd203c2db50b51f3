"""What one fresh example says about two models that have not learned from it.

Knows one example and the probabilities that candidate, champion and perhaps an older
champion (the anchor) give its items. Does not know how many such answers make a decision
(``tasks.ranking.gate_metrics``), nor models.

Shapes: C candidates of an example.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from streamrec.core.examples import FloatArray
from streamrec.core.measures.prequential import Calibration, Impressions
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample
from streamrec.tasks.ranking.features import FEATURES

NEW_USER_HISTORY = 3
"""A user with fewer accepted items is new."""
NEW_ITEM_HOURS = 24.0
"""An accepted item that was first seen less long ago is new."""
INACTIVE_HOURS = 24.0 * 14
"""A user who was away longer than this is inactive."""
TOP = 10
"""Items of a list that a person would see ..."""
TOP_SHARE = 4
"""... but at most one in so many of those offered: else everything offered is on top."""

POPULARITY, ANCHOR = "popularity", "anchor"

_AGE = FEATURES.index("age")
_AWAY = FEATURES.index("user_away")
_ACCEPTS = FEATURES.index("accepts_5000ev")


@dataclass(frozen=True, slots=True)
class Lists:
    """The items offered, and which of them each of the two would put on top."""

    offered: tuple[str, ...]
    candidate: tuple[str, ...]
    champion: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JudgedExample:
    """What one fresh example says about candidate and champion."""

    reciprocal_ranks: tuple[float, float] | None  # None where there is nothing to rank
    calibrations: tuple[Calibration, Calibration] | None  # None where labels were sampled
    slices: tuple[str, ...]
    finite: bool  # of the candidate's scores
    kl: float | None = None  # nats, candidate to champion; None for a list of one
    lists: Lists | None = None
    references: tuple[tuple[str, float], ...] = ()  # reciprocal ranks of others, by name


def judge(
    example: RankingExample,
    candidate_C: FloatArray,
    champion_C: FloatArray,
    anchor_C: FloatArray | None = None,
) -> JudgedExample:
    """Compare predictions, P(accept | shown) of each candidate, with what came of it."""
    labels_C, slices = example.labels_C, slices_of(example)
    if not _sound(candidate_C):
        return JudgedExample(None, None, slices, finite=False)
    if not _sound(champion_C):  # nothing to be compared with; a sound candidate replaces it
        return JudgedExample(None, None, slices, finite=True)
    both = candidate_C, champion_C
    ours, theirs = (Impressions().add(p_C, labels_C) for p_C in both)
    calibrations = None
    if example.kind is not ExampleKind.NEXT_CLICK:  # sampled negatives: no real click rate
        ours_p, theirs_p = (Calibration().add(p_C, labels_C) for p_C in both)
        calibrations = (ours_p, theirs_p)
    return JudgedExample(
        (ours.reciprocal, theirs.reciprocal) if ours.n else None,
        calibrations,
        slices,
        finite=True,
        kl=_kl(candidate_C, champion_C),
        lists=_lists(example, candidate_C, champion_C),
        references=_references(example, anchor_C) if ours.n else (),
    )


def slices_of(example: RankingExample) -> tuple[str, ...]:
    """The groups an example belongs to, watched apart: a mean can hide their loss."""
    new_user = len(example.history) < NEW_USER_HISTORY
    away_h = math.expm1(float(example.stats_CF[0, _AWAY])) if len(example.stats_CF) else 0.0
    inactive = bool(example.history) and away_h > INACTIVE_HOURS
    ages_h = np.expm1(example.stats_CF[example.labels_C > 0, _AGE])
    new_item = bool(len(ages_h)) and bool((ages_h < NEW_ITEM_HOURS).any())
    return ("new_users",) * new_user + ("inactive_users",) * inactive + ("new_items",) * new_item


def _kl(candidate_C: FloatArray, champion_C: FloatArray) -> float | None:
    """KL divergence between "which item of this list is accepted, given that one is"."""
    if len(candidate_C) < 2:
        return None
    p_C, q_C = (np.clip(x.astype(float), 1e-7, 1.0) for x in (candidate_C, champion_C))
    p_C, q_C = p_C / p_C.sum(), q_C / q_C.sum()
    return float(np.sum(p_C * np.log(p_C / q_C)))


def _lists(
    example: RankingExample, candidate_C: FloatArray, champion_C: FloatArray
) -> Lists | None:
    """None where so few were offered that a single one would be on top."""
    k = min(TOP, len(candidate_C) // TOP_SHARE)
    if k < 1:
        return None
    ids = example.candidates
    ours, theirs = (np.argsort(-p_C, kind="stable")[:k] for p_C in (candidate_C, champion_C))
    return Lists(ids, tuple(ids[c] for c in ours), tuple(ids[c] for c in theirs))


def _references(
    example: RankingExample, anchor_C: FloatArray | None
) -> tuple[tuple[str, float], ...]:
    scored = [(POPULARITY, example.stats_CF[:, _ACCEPTS])]
    if anchor_C is not None and _sound(anchor_C):
        scored.append((ANCHOR, anchor_C))
    return tuple(
        (name, Impressions().add(s_C, example.labels_C).reciprocal) for name, s_C in scored
    )


def _sound(probabilities_C: FloatArray) -> bool:
    return bool(((probabilities_C >= 0) & (probabilities_C <= 1)).all())  # False for NaN
