"""Ranking's examples: candidates, which were accepted, and the features logged with them.

Knows their fields, in memory and on the wire, and what of them a trainer refuses. How features are
computed is ``tasks.ranking.features``'.

Shapes: C candidates, F live-statistics features (``tasks.ranking.features.FEATURES``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

import schemas
from streamrec.core.examples import (
    Example,
    FloatArray,
    ForgetMark,
    TrainingBatch,
    check_feature_set,
)
from streamrec.errors import InvalidField
from streamrec.ports import ExampleFormat
from streamrec.tasks.ranking.features import FEATURE_SET, FEATURES, USER_FEATURES

USER = len(USER_FEATURES)
"""So many features, the last, are the user's."""
HALF = np.dtype("<f2")
LARGEST_HALF = float(np.finfo(HALF).max)

FORGET = "forget"
"""The wire's kind of a mark. It has one candidate without an id and features of 0, so that it
travels as examples do."""


class ExampleKind(StrEnum):
    """Where the candidates came from."""

    IMPRESSION = "impression"  # all were shown to the user; the labels are real
    NEXT_CLICK = "next_click"  # the first was accepted; the others were sampled
    VIEW = "view"  # one item shown alone


@dataclass(frozen=True, slots=True, eq=False)
class RankingExample(Example):
    """One decision of one user, with the features logged when the items were shown."""

    kind: ExampleKind
    shown_at_ms: int
    history: tuple[str, ...]  # accepted item ids before the event, newest last
    candidates: tuple[str, ...]  # (C,)
    labels_C: FloatArray  # 1 accepted, 0 not
    stats_CF: FloatArray  # live statistics before the event
    log_q_C: FloatArray  # log P(it is in this list); 0 where that is certain
    query: str = ""  # the words that led to it, if any


def check(batch: TrainingBatch) -> None:
    """Raises InvalidField for examples that this version's ranker cannot learn from."""
    check_feature_set(batch, FEATURE_SET)
    for example in batch.examples:
        if isinstance(example, RankingExample):
            _check(example)


def _check(example: RankingExample) -> None:
    width = example.stats_CF.shape[1]
    if width != len(FEATURES):
        raise InvalidField(
            f"stats_CF of the example at offset {example.offset} has {width} features; "
            f"expected {len(FEATURES)}"
        )
    if not (np.isfinite(example.stats_CF).all() and np.isfinite(example.log_q_C).all()):
        raise InvalidField(
            f"the example at offset {example.offset} holds a number that is not finite"
        )


def to_fields(example: Example) -> dict[str, Any]:
    """As the schema ``training_batch`` names them."""
    place = {
        "partition": example.partition,
        "offset": example.offset,
        "index": example.index,
        "user_id": example.user_id,
        "produced_at_ms": example.produced_at_ms,
    }
    if isinstance(example, ForgetMark):
        return place | _mark_fields(example)
    assert isinstance(example, RankingExample)  # noqa: S101 - there are no others of this task
    return place | {
        "kind": example.kind.value,
        "shown_at_ms": example.shown_at_ms,
        "history": example.history,
        "candidates": example.candidates,
        "labels_C": _floats_to(example.labels_C),
        "log_q_C": _floats_to(example.log_q_C),
        "query": example.query or None,
        **_stats_to(example.stats_CF),
    }


def from_fields(fields: Mapping[str, Any]) -> Example:
    """The reverse. Raises InvalidField."""
    candidates = tuple(fields["candidates"])
    count = len(candidates)
    if not count:
        raise InvalidField("candidates is []; expected at least one item")
    labels_C = _floats_from(fields, "labels_C", count, exactly=True)
    stats_CF = _stats_from(fields, count)
    log_q_C = _floats_from(fields, "log_q_C", count, exactly=True)
    names = ("partition", "offset", "index", "user_id", "produced_at_ms")
    place = {name: fields[name] for name in names}
    if fields["kind"] == FORGET:
        return ForgetMark(**place, asked_at_ms=fields["shown_at_ms"])
    return RankingExample(
        **place,
        kind=_kind(fields["kind"]),
        shown_at_ms=fields["shown_at_ms"],
        history=tuple(fields["history"]),
        candidates=candidates,
        labels_C=labels_C,
        stats_CF=stats_CF,
        log_q_C=log_q_C,
        query=fields.get("query") or "",
    )


FORMAT = ExampleFormat(
    feature_set=FEATURE_SET,
    versions=(*schemas.history("training_batch"), schemas.load("training_batch")),
    to_fields=to_fields,
    from_fields=from_fields,
)


def _mark_fields(mark: ForgetMark) -> dict[str, Any]:
    nothing_C = np.zeros(1, np.float32)
    return {
        "kind": FORGET,
        "shown_at_ms": mark.asked_at_ms,
        "history": (),
        "candidates": ("",),
        "labels_C": _floats_to(nothing_C),
        "stats_CF": _floats_to(np.zeros((1, len(FEATURES)), np.float32)),
        "log_q_C": _floats_to(nothing_C),
    }


def _kind(name: str) -> ExampleKind:
    try:
        return ExampleKind(name)
    except ValueError:
        known = ", ".join([*ExampleKind, FORGET])
        raise InvalidField(f"kind is {name!r}; expected one of {known}") from None


def _stats_to(stats_CF: FloatArray) -> dict[str, bytes | None]:
    """In half the bytes, as replay memory keeps them, and the user's once; unless candidates were
    logged at different moments of the user."""
    shared_CI, user = stats_CF[:, :-USER], _floats_to(stats_CF[:, -USER:])
    user_U = user[: 4 * USER]
    if user != user_U * len(stats_CF):
        return {"stats_CF": _floats_to(stats_CF), "user_U": None}
    if not -LARGEST_HALF <= stats_CF.min() <= stats_CF.max() <= LARGEST_HALF:
        shared_CI = np.clip(shared_CI, -LARGEST_HALF, LARGEST_HALF)
    return {"stats_CF": shared_CI.astype(HALF).tobytes(), "user_U": user_U}


def _stats_from(fields: Mapping[str, Any], count: int) -> FloatArray:
    """(C, F)"""
    user = fields.get("user_U")
    if user is None:
        return _floats_from(fields, "stats_CF", count).reshape(count, -1)
    data = fields["stats_CF"]
    if len(data) % (2 * count) or len(user) % 4:
        raise InvalidField(
            f"stats_CF is {len(data)} bytes and user_U {len(user)}; expected 2 for each of {count} "
            "items' features, and 4 for each of the user's"
        )
    user_U = np.frombuffer(user, "<f4")
    shared_CI = np.frombuffer(data, "<f2").reshape(count, -1)
    stats_CF = np.empty((count, shared_CI.shape[1] + len(user_U)), np.float32)
    stats_CF[:, : shared_CI.shape[1]] = shared_CI
    stats_CF[:, shared_CI.shape[1] :] = user_U
    return stats_CF


def _floats_to(values: FloatArray) -> bytes:
    return np.ascontiguousarray(values, "<f4").tobytes()


def _floats_from(
    fields: Mapping[str, Any], name: str, count: int, *, exactly: bool = False
) -> FloatArray:
    data = fields[name]
    if len(data) % (4 * count) or (exactly and len(data) != 4 * count):
        raise InvalidField(f"{name} is {len(data)} bytes; expected 4 for each of {count} items")
    return np.frombuffer(data, "<f4").astype(np.float32, copy=False)
