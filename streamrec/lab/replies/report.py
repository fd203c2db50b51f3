"""What a replay of replies says.

``acceptance.<arm>``: true acceptance, the mean probability with which the people asked would accept
what they were told; ``first`` and ``last`` fifth, and of the last fifth the ``difference`` to the
arm that learns nothing, ``low`` to ``high``: 95 %, a bootstrap over questions, paired. ``along``:
the mean of each tenth. No answer that was drawn goes into any of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.core.replies.distinct import distinct_2
from streamrec.core.replies.language import language_of
from streamrec.lab.replies.people import Tastes
from streamrec.lab.replies.questions import Question
from streamrec.lab.replies.replay import ADAPTER, ARMS, BOTH, NONE, Arm, ToldReply
from streamrec.lab.replies.second_look import Titles

RESAMPLES = 2_000
Floats = NDArray[np.float64]


def report_of(
    arms: Mapping[str, Arm], asked: Sequence[Question], titles: Titles, people: Tastes, seed: int
) -> dict[str, Any]:
    fifth = len(asked) // 5
    last = range(len(asked) - fifth, len(asked))
    base_N = _accepted(arms[NONE], last)
    said = [(asked[at], told) for arm in arms.values() for at, told in arm.told.items()]
    return {
        "questions": len(asked),
        "people": {
            "weights": dict(people.weights),
            "personal": people.personal,
            "varied": people.varied,
        },
        "acceptance": {name: _of_arm(arms[name], fifth, last, base_N, seed) for name in ARMS},
        "along": {name: _along(arms[name], len(asked)) for name in ARMS if name != NONE},
        "grounded": _grounded(said, titles),
        "fallback_share": float(np.mean([not told.words for _, told in said])),
        "fallbacks": dict(Counter(told.refused for _, told in said if told.refused)),
        "texts": _texts(said),
        "unfinished_share": float(np.mean([not told.finished for _, told in said])),
        "kl_nats": {name: _divergence(arms[name], last) for name in (ADAPTER, BOTH)},
        "distinct2_ratio": _variety(arms[ADAPTER], arms[NONE], last),
        "persona_match": {name: _match(arms[name], last, seed) for name in ARMS},
    }


def _of_arm(arm: Arm, fifth: int, last: range, base_N: Floats, seed: int) -> dict[str, Any]:
    last_N = _accepted(arm, last)
    return {
        "first": float(_accepted(arm, range(fifth)).mean()),
        "last": float(last_N.mean()),
        **interval(last_N - base_N, seed, "difference"),
    }


def interval(values_N: Floats, seed: int, name: str) -> dict[str, Any]:
    """The mean under ``name``, ``low`` to ``high``, and ``n``."""
    drawn = np.random.default_rng(seed)
    means_R = values_N[drawn.integers(len(values_N), size=(RESAMPLES, len(values_N)))].mean(axis=1)
    low, high = np.quantile(means_R, [0.025, 0.975])
    return {
        name: float(values_N.mean()), "low": float(low), "high": float(high), "n": len(values_N),
    }  # fmt: skip


def _accepted(arm: Arm, places: range) -> Floats:
    return np.array([arm.told[at].acceptance for at in places])


def _along(arm: Arm, number: int) -> list[float]:
    edges = np.linspace(0, number, min(10, number) + 1).astype(int)
    return [float(_accepted(arm, range(a, b)).mean()) for a, b in pairwise(edges.tolist())]


def _grounded(said: Sequence[tuple[Question, ToldReply]], titles: Titles) -> dict[str, Any]:
    """Replies that name an item of the list, and of the rest of the catalogue nothing: what is of
    the history only where it is marked so. ``named``: what else; ``alike``: what a person
    has to look at (``second_look``), and how often."""
    good, named, alike = 0, list[str](), Counter[str]()
    for question, told in said:
        marked = {*told.said.from_history}
        had = [item.title for item in question.history if item.item_id in marked]
        found = titles.look(told.said.text, [*(item.title for item in question.listed), *had])
        good += not found.named and bool(told.said.items)
        named += found.named
        alike.update(found.alike)
    return {"n": len(said), "share": good / len(said), "named": named, "alike": dict(alike)}


def _texts(said: Sequence[tuple[Question, ToldReply]]) -> dict[str, Any]:
    """``languages``: as they are recognised; None where nothing tells."""
    words_N = np.array([len(told.said.text.split()) for _, told in said])
    languages = Counter(str(language_of(told.said.text)) for _, told in said)
    return {
        "words": float(words_N.mean()), "most_words": int(words_N.max()),
        "languages": dict(languages),
    }  # fmt: skip


def _divergence(arm: Arm, last: range) -> float | None:
    """Nats from the start to what has been learned, a reply, over those of the last fifth."""
    if arm.learner is None:
        return None
    found = arm.learner.snapshot().likelihoods([arm.told[at].example for at in last])
    return float(np.mean([kl for _, kl in found.values()])) if found else None


def _variety(arm: Arm, base: Arm, last: range) -> float | None:
    """distinct-2 of what it wrote over that of the arm that learns nothing, where both wrote."""
    places = [at for at in last if arm.told[at].words and base.told[at].words]
    ours, theirs = (distinct_2([one.told[at].words for at in places]) for one in (arm, base))
    return ours / theirs if theirs else None


def _match(arm: Arm, last: range, seed: int) -> dict[str, Any]:
    """How often the plan had what such a person likes, of the personal trait; by chance half."""
    suits_N = np.array([float(arm.told[at].suits) for at in last])
    return interval(suits_N, seed, "share")
