"""From replies whose outcome is known to examples.

Knows what an outcome is worth, and how a writer's log becomes an example. Does not know which
outcome belongs to which reply (``core.state.replies``).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from streamrec.core.examples import Example
from streamrec.core.state.example_maker import ExampleMaker
from streamrec.core.state.replies import ReplyClosed, ReplyOutcome
from streamrec.core.state.run import Located
from streamrec.core.tasks import REPLIES
from streamrec.ports import ExampleSource
from streamrec.tasks.replies.examples import FORMAT, ReplyExample, wrong

IMPLICIT_WEIGHT = 0.5
IGNORED = 0.4
"""Silence says so much of what a click says: most people say nothing about most replies."""


def worth(outcome: ReplyOutcome, implicit: float) -> tuple[float, float]:
    """Reward and weight: of what people say themselves, 1; of what they do, ``implicit``."""
    match outcome:
        case ReplyOutcome.ACCEPTED:
            return 1.0, 1.0
        case ReplyOutcome.REJECTED:
            return 0.0, 1.0
        case ReplyOutcome.CLICKED:
            return 1.0, implicit
        case ReplyOutcome.REPHRASED:
            return 0.0, implicit
        case ReplyOutcome.IGNORED:
            return 0.0, implicit * IGNORED


class ReplyExamples(ExampleMaker):
    """Of one partition. What says nothing makes none. A log that is not ours, or that the learner
    would refuse, makes none and is counted."""

    def __init__(self, partition: int, implicit: float) -> None:
        self._partition, self._implicit = partition, implicit
        self._made: list[Example] = []
        self._last = (-1, 0)  # offset, examples that it closed

    def replied(self, at: Located, user_id: str, closed: ReplyClosed) -> None:
        reward, weight = worth(closed.outcome, self._implicit)
        if not weight:
            return
        offset, before = self._last
        index = before if offset == at.offset else 0
        place = {
            "partition": self._partition,
            "offset": at.offset,
            "index": index,
            "user_id": user_id,
            "produced_at_ms": at.produced_at_ms,
        }
        made = _example(place, closed, reward, weight)
        if made is None or wrong(made):
            self.unusable += 1
            return
        self._last = at.offset, index + 1
        self._made.append(made)

    def finish(self) -> list[Example]:
        made, self._made, self.unusable = self._made, [], 0
        return made


def _example(
    place: dict[str, Any], closed: ReplyClosed, reward: float, weight: float
) -> ReplyExample | None:
    try:
        noted = json.loads(closed.reply.log)
        return ReplyExample(
            **place,
            reply_id=closed.reply.reply_id,
            generation=str(noted["generation"]),
            prompt_ids=_ids(noted.get("prompt_ids", ())),
            token_ids=_ids(noted.get("token_ids", ())),
            slots=tuple(map(str, noted.get("slots", ()))),
            max_tokens=int(noted.get("max_tokens", 0)),
            least=int(noted.get("least", 0)),
            most=int(noted.get("most", 0)),
            temperature=float(noted.get("temperature", 0.0)),
            log_probability=float(noted.get("log_probability") or 0.0),
            plan=int(noted["plan"]),
            plan_propensity=float(noted["plan_propensity"]),
            context_C=np.asarray(noted["context"], np.float32),
            reward=reward,
            weight=weight,
        )
    except (KeyError, OverflowError, RecursionError, TypeError, ValueError):
        return None


def _ids(found: Any) -> tuple[int, ...]:
    return tuple(map(int, found))


def example_source(implicit: float = IMPLICIT_WEIGHT) -> ExampleSource:
    """Who makes replies' examples in a feature worker. ``implicit``: see ``worth``."""
    return ExampleSource(REPLIES, FORMAT, lambda partition, *_: ReplyExamples(partition, implicit))
