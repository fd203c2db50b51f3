"""How old an event is when a generation that has learned it begins to answer, and why.

Knows what was learned since the last generation that was released, and when its events came. An
example counts from the event that closed it: a click closes its own.

Parts of the way, in order: ``batch`` (event in Kafka to its mini-batch in Kafka), ``learn`` (until
that is learned), ``wait`` (until a candidate is frozen), ``judge`` (until the gate's verdict),
``stage`` (until every serving worker has loaded it, a canary included), ``activate`` (until every
one has flipped).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from streamrec.core.examples import Example
from streamrec.core.measures.freshness import PARTS

REMEMBERED = 20_000
"""Examples that no generation answers with yet; of more, the oldest are forgotten."""


class _Learned(NamedTuple):
    batch: int
    produced_ms: int
    sent_ms: int
    learned_ms: int


class ReleaseTimes(NamedTuple):
    """Of one generation. ``flip_ms``: how long the flip took."""

    frozen_ms: int
    judged_ms: int
    flip_ms: int
    active_ms: int


class Freshness:
    """Of one trainer's process: what it learned before is in no measure."""

    def __init__(self) -> None:
        self._waiting: deque[_Learned] = deque(maxlen=REMEMBERED)
        self.parts_s: Mapping[str, float] = {}
        """Of the last generation, the mean over what it was the first to have learned."""

    def learned(self, batch: int, examples: Sequence[Example], sent_ms: int, now_ms: int) -> None:
        """From the mini-batch at this offset, in Kafka since ``sent_ms``; they come in order."""
        self._waiting.extend(
            _Learned(batch, e.produced_at_ms, max(sent_ms, e.produced_at_ms), now_ms)
            for e in examples
        )

    def released(self, next_batch: int, times: ReleaseTimes) -> list[float]:
        """Ages in seconds of what was learned from mini-batches before ``next_batch``, once."""
        learned: list[_Learned] = []
        while self._waiting and self._waiting[0].batch < next_batch:
            learned.append(self._waiting.popleft())
        if not learned:
            return []
        frozen, judged, flip, active = times
        after = (frozen, judged, active - flip, active)
        moments = np.array([(e.produced_ms, e.sent_ms, e.learned_ms, *after) for e in learned])
        parts_s = np.diff(moments, axis=1).mean(axis=0) / 1000
        self.parts_s = dict(zip(PARTS, parts_s.round(3).tolist(), strict=True))
        ages: list[float] = ((active - moments[:, 0]) / 1000).tolist()
        return ages

    def forget(self) -> None:
        """The learner went back: what it had learned since is void."""
        self._waiting.clear()
