"""Recorded tests played again: which run, who is shown what, and who clicks.

Each person sees the page, one headline of every test that runs; what they click is drawn at the
rate that this headline had. A test ends after so many impressions, and the next one opens.

What it is worth is counted in *expected* clicks, by recorded rates, so that luck in drawing plays
no part: of the headline that was shown, of showing all equally, and of Thompson sampling that
begins with no idea, simulated over the same impressions.

Shapes: A headlines of one test, T tests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.core.events import Interaction, Item, Kind, Recommendation, Variant
from streamrec.core.variants.beta import UNKNOWN, posterior
from streamrec.core.variants.credit import SLOTS
from streamrec.lab.measures.wordings import Parts, difference
from streamrec.lab.replay.headline_tests import HeadlineTest

Floats = NDArray[np.float64]

AT_ONCE = 20
"""Tests on a page: a list's id names about 25 wordings."""
IMPRESSIONS = 2_000
"""Of a test. With those of the archive, some 35 clicks: one example, or two."""
LATE_MS = 1_500
"""From an impression to the list that takes its outcome into account: the way to the topic, the
fold, and what serving workers read once a second."""
SEED = 0


class NoIdea:
    """Thompson sampling without a prior, over one test; looked up as ``measures.bandit`` does.

    It sees what came of an impression ``LATE_MS`` after it, as serving workers do.
    """

    def __init__(self, rate_A: Floats, generator: np.random.Generator) -> None:
        self._rate_A, self._generator = rate_A, generator
        self._views_A, self._clicks_A = np.zeros(len(rate_A)), np.zeros(len(rate_A))
        self._drawn: list[int] = []
        self._unseen: deque[tuple[int, int, bool]] = deque()  # when, arm, clicked

    def impression(self, now_ms: int) -> float:
        """One more: expected clicks of what it shows."""
        if not self._drawn:
            self._look(now_ms)
            self._drawn = self._next_arms()
        arm = self._drawn.pop()
        rate = float(self._rate_A[arm])
        self._unseen.append((now_ms, arm, bool(self._generator.random() < rate)))
        return rate

    def _look(self, now_ms: int) -> None:
        while self._unseen and self._unseen[0][0] <= now_ms - LATE_MS:
            _, arm, clicked = self._unseen.popleft()
            self._views_A[arm] += 1
            self._clicks_A[arm] += clicked

    def _next_arms(self) -> list[int]:
        """For a tenth of the impressions so far."""
        arms = len(self._rate_A)
        mean_A, strength_A = np.full(arms, UNKNOWN.mean), np.full(arms, UNKNOWN.strength)
        now = posterior(mean_A, strength_A, self._views_A, self._clicks_A, pooled=False).sharpened()
        size = max(5, int(self._views_A.sum()) // 10)
        drawn_DA = self._generator.beta(now.alpha_A, now.beta_A, size=(size, arms))
        return [int(arm) for arm in drawn_DA.argmax(axis=1)]


@dataclass(slots=True)
class PlayedTest:
    """One test, and what became of it. ``learned``: a prior that had learned was there from its
    first impression on. ``shown``, ``equal``, ``no_idea``: expected clicks."""

    item_id: str
    texts: tuple[str, ...]
    rate_A: Floats
    limit: int
    rival: NoIdea
    learned: bool
    impressions: int = 0
    clicks: int = 0
    shown: float = 0.0
    equal: float = 0.0
    no_idea: float = 0.0
    clicks_A: list[int] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return self.impressions >= self.limit

    def seen(self, arm: int, now_ms: int, *, clicked: bool) -> None:
        self.impressions += 1
        self.clicks += clicked
        self.clicks_A[arm] += clicked
        self.shown += float(self.rate_A[arm])
        self.equal += float(self.rate_A.mean())
        self.no_idea += self.rival.impression(now_ms)

    def item(self) -> Item:
        """While it runs with its headlines; afterwards with the one that was clicked most."""
        if self.over:
            return Item(self.item_id, self.texts[int(np.argmax(self.clicks_A))])
        variants = tuple(Variant(str(arm), text) for arm, text in enumerate(self.texts))
        return Item(self.item_id, self.texts[0], variants=variants)


class Newsroom:
    """``at_once`` tests run at a time, in the order in which they once opened."""

    def __init__(
        self,
        tests: Sequence[HeadlineTest],
        *,
        at_once: int = AT_ONCE,
        impressions: int = IMPRESSIONS,
        seed: int = SEED,
    ) -> None:
        """Tests of more headlines than an item can have are left out: ``left_out`` of them."""
        kept = [test for test in tests if len(test.example.texts) <= SLOTS]
        self.left_out = len(tests) - len(kept)
        self._waiting = kept[::-1]
        self._at_once, self._impressions = at_once, impressions
        self._generator = np.random.default_rng(seed)
        self._running: dict[str, PlayedTest] = {}
        self.played: dict[str, PlayedTest] = {}

    def turn(self, *, learned: bool) -> list[Item]:
        """Close what is over and open what comes next: items to be published.

        ``learned``: whether the champion has learned something by now.
        """
        ended = [test for test in self._running.values() if test.over]
        for test in ended:
            del self._running[test.item_id]
        opened = []
        while len(self._running) < self._at_once and self._waiting:
            test = self._opened(self._waiting.pop(), learned=learned)
            self._running[test.item_id] = self.played[test.item_id] = test
            opened.append(test)
        return [test.item() for test in (*ended, *opened)]

    @property
    def page(self) -> tuple[str, ...]:
        """Item ids; empty when everything has been played."""
        return tuple(self._running)

    @property
    def tests(self) -> list[PlayedTest]:
        """All that have been opened."""
        return list(self.played.values())

    def seen(self, answer: Recommendation, now_ms: int) -> list[Interaction]:
        """What the person does who gets this list: a view of each headline, and some clicks."""
        events: list[Interaction] = []
        for place, item in enumerate(answer.items):
            test = self.played.get(item.item_id)
            if test is None or item.variant_id is None:
                continue
            arm = int(item.variant_id)
            clicked = bool(self._generator.random() < test.rate_A[arm])
            test.seen(arm, now_ms, clicked=clicked)
            for kind in (Kind.VIEW, Kind.CLICK)[: 1 + clicked]:
                events.append(_event(answer, item.item_id, place, kind, now_ms))
        return events

    def _opened(self, test: HeadlineTest, *, learned: bool) -> PlayedTest:
        number, example = len(self.played), test.example
        # the first ones end one after the other, so that from then on one opens at a time
        early = (number + 1) / self._at_once if number < self._at_once else 1.0
        rate_A = np.asarray(example.clicks_A, np.float64) / np.asarray(example.views_A, np.float64)
        return PlayedTest(
            f"story-{number + 1}",
            example.texts,
            rate_A,
            max(1, round(self._impressions * early)),
            NoIdea(rate_A, self._generator.spawn(1)[0]),
            learned,
            clicks_A=[0] * len(rate_A),
        )


def _event(
    answer: Recommendation, item_id: str, place: int, kind: Kind, now_ms: int
) -> Interaction:
    return Interaction(
        event_id=f"{answer.trigger_id}-{place}-{kind.value}",
        user_id=answer.user_id,
        item_id=item_id,
        kind=kind,
        occurred_at_ms=now_ms,
        impression_id=answer.trigger_id,
        position=place,
        recommendation_id=answer.recommendation_id,
    )


def worth(tests: Sequence[PlayedTest]) -> dict[str, Any]:
    """Clicks over showing all equally, and the prior's part of it: what Thompson sampling without a
    prior would not have had, with 95 % (a paired bootstrap over tests). None: nothing was shown."""
    equal_T = np.array([test.equal for test in tests])
    ours = Parts(np.array([test.shown for test in tests]), equal_T, 1.0)
    theirs = Parts(np.array([test.no_idea for test in tests]), equal_T, 1.0)
    shown = bool(len(tests)) and equal_T.sum() > 0
    return {
        "tests": len(tests),
        "impressions": sum(test.impressions for test in tests),
        "clicks": sum(test.clicks for test in tests),
        "lift": ours.value if shown else None,
        "lift_without_prior": theirs.value if shown else None,
        "prior_part": difference(ours, theirs, SEED) if shown else None,
    }
