"""A newsroom's first day: impressions of new articles, made from recorded headline tests.

    python -m benchmarks.newsroom TESTS.jsonl[.xz] OUT [--seed 0] [--impressions 5000]
                                  [--direct 0]

TESTS: headlines with the impressions and clicks each had (as ``streamrec replay --task copy``
reads them). Their texts are real, and so is how much more often than others each was clicked; who
reads and what is shown is made up:

- An article is one headline. It goes live at some time of the day and stops being shown within
  hours. It is clicked more while it is news; how fast that goes is its own.
- A reader has tastes that nobody logs: for groups of words (latent semantic analysis of the
  headlines, no language model) and for directions in them. A category names an article's group,
  and for a fifth of them another. Readers have read earlier articles (clicks outside impressions).
- A list holds 15 to 60 live articles, newer ones more often. Each is clicked or not by itself:

      logit = level + TASTE x taste + APPEAL x log lift of its recorded rate + news - position

  Lists nobody clicked are sent too. A click comes after an exponential delay.

Everything is drawn from the seed, also which headlines are there: two seeds share two thirds.
"""

from __future__ import annotations

import argparse
import json
import lzma
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import Record, write

Floats = NDArray[np.float64]

TASTE, APPEAL, POSITION = 0.5, 1.0, 0.25
LEVEL = -2.8
PRIOR_CLICKS = 5.0
"""A recorded rate is pulled to the mean by so many clicks."""
GROUPS, DIRECTIONS = 14, 24
COMMON, RARE = 0.05, 4
"""Words in a larger part of all headlines, or in fewer headlines, say nothing of a topic."""
START_S, DAY_S = 1_700_000_000, 86_400.0
LIFE_S = 6 * 3_600.0
EARLIER = 0.3
"""Part of the articles that readers have read before the day."""


@dataclass(frozen=True, slots=True)
class Headlines:
    """A articles."""

    titles: list[str]
    lifts_A: Floats  # log of the recorded click rate over the mean one
    topics_AK: Floats  # unit vectors
    group_A: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Size:
    users: int = 1_500
    articles: int = 4_000
    impressions: int = 5_000
    mean_click_delay_s: float = 60.0
    direct: float = 0.0  # reads of live articles outside lists, for each impression


def headlines(tests: Sequence[Record], articles: int, rng: np.random.Generator) -> Headlines:
    """So many, each title once. Raises ValueError when the tests do not hold as many."""
    rates = {
        arm["title"]: (arm["clicks"], arm["impressions"])
        for test in tests
        for arm in test["variants"]
    }
    if len(rates) < articles:
        raise ValueError(f"{articles} articles are asked of {len(rates)} different headlines")
    counts = np.array(list(rates.values()), float)
    mean = counts[:, 0].sum() / counts[:, 1].sum()
    smoothed = (counts[:, 0] + PRIOR_CLICKS) / (counts[:, 1] + PRIOR_CLICKS / mean)
    topics = latent_topics(list(rates))
    group = groups(topics, GROUPS, np.random.default_rng(0))
    chosen = rng.permutation(len(rates))[:articles]
    titles = list(rates)
    return Headlines(
        [titles[n] for n in chosen], np.log(smoothed / mean)[chosen], topics[chosen], group[chosen]
    )


def latent_topics(titles: Sequence[str]) -> Floats:
    """Unit vectors (A, DIRECTIONS) of titles: TF-IDF by its largest singular directions."""
    words = [set(re.findall(r"[a-z]{3,}", title.casefold())) for title in titles]
    seen = Counter(word for own in words for word in own)
    most = max(RARE, COMMON * len(titles))
    column = {word: n for n, word in enumerate(w for w in seen if RARE <= seen[w] <= most)}
    table = np.zeros((len(titles), len(column)))
    for row, own in enumerate(words):
        for word in own & column.keys():
            table[row, column[word]] = np.log(len(titles) / seen[word])
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)
    _, vectors = np.linalg.eigh(table.T @ table)
    found = table @ vectors[:, ::-1][:, :DIRECTIONS]
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9))


def groups(vectors_AK: Floats, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """The group of each: spherical k-means (Dhillon & Modha 2001), 20 rounds."""
    centres_GK = vectors_AK[rng.choice(len(vectors_AK), count, replace=False)]
    for _ in range(20):
        group_A = np.argmax(vectors_AK @ centres_GK.T, axis=1)
        sums_GK = np.stack([vectors_AK[group_A == g].sum(0) for g in range(count)])
        centres_GK = sums_GK / np.maximum(np.linalg.norm(sums_GK, axis=1, keepdims=True), 1e-9)
    return np.argmax(vectors_AK @ centres_GK.T, axis=1)


class Newsroom:
    """One day: its articles and readers, and what happens in order of time."""

    def __init__(self, tests: Sequence[Record], size: Size, seed: int) -> None:
        self._rng = rng = np.random.default_rng(seed)
        self._size = size
        self._of = of = headlines(tests, size.articles, rng)
        old = int(EARLIER * size.articles)
        self._born_s = rng.uniform(-LIFE_S, DAY_S, size.articles)
        self._born_s[:old] = -np.inf  # read before the day, not shown on it
        self._fade_s = rng.gamma(2.0, LIFE_S / 4, size.articles)
        self._heat = rng.normal(0.0, 0.5, size.articles)
        likes = rng.dirichlet(np.full(GROUPS, 0.4), size.users)
        leaning = rng.normal(0.0, 1.0, (size.users, of.topics_AK.shape[1]))
        self._taste_UA = np.log(likes[:, of.group_A] * GROUPS + 0.2) + leaning @ of.topics_AK.T
        self._activity = rng.gamma(0.6, 1.0, size.users) + 0.05
        self._old = old

    def items(self) -> list[Record]:
        wrong = self._rng.random(self._size.articles) < 0.2
        drawn = self._rng.integers(GROUPS, size=self._size.articles)
        group = np.where(wrong, drawn, self._of.group_A)
        return [
            {"item_id": f"n{n}", "title": title, "categories": [f"desk {group[n]}"]}
            for n, title in enumerate(self._of.titles)
        ]

    def events(self) -> list[Record]:
        events = [event for user in range(self._size.users) for event in self._earlier(user)]
        rng, users = self._rng, self._size.users
        share = self._activity / self._activity.sum()
        for number, at_s in enumerate(np.sort(rng.uniform(0, DAY_S, self._size.impressions))):
            events += self._impression(number, int(rng.choice(users, p=share)), float(at_s))
            if self._size.direct and rng.random() < self._size.direct:
                events.append(self._direct(number, int(rng.choice(users, p=share)), float(at_s)))
        return sorted(events, key=itemgetter("occurred_at"))  # stable: a list stays together

    def _earlier(self, user: int) -> list[Record]:
        """What a reader has read in the week before."""
        rng, old = self._rng, self._old
        count = min(50, int(rng.geometric(0.12)))
        logits_A = TASTE * self._taste_UA[user, :old] + APPEAL * self._of.lifts_A[:old]
        read = np.argsort(-(1.5 * logits_A + rng.gumbel(size=old)))[:count]
        times = START_S - rng.integers(LIFE_S, 7 * DAY_S, count)
        return [
            {
                "event_id": f"h{user}-{n}",
                "user_id": f"u{user}",
                "item_id": f"n{article}",
                "kind": "click",
                "occurred_at": int(at),
            }
            for n, (article, at) in enumerate(zip(read, times, strict=True))
        ]

    def _live(self, at_s: float) -> NDArray[np.intp]:
        age_s = at_s - self._born_s
        return np.flatnonzero((age_s >= 0) & (age_s < LIFE_S))

    def _direct(self, number: int, user: int, at_s: float) -> Record:
        """A reader comes by a link from elsewhere: one live article, as wanted as in a list."""
        live = self._live(at_s)
        wanted = self._wanted(user, live, at_s) + self._rng.gumbel(size=len(live))
        return {
            "event_id": f"d{number}",
            "user_id": f"u{user}",
            "item_id": f"n{live[np.argmax(wanted)]}",
            "kind": "click",
            "occurred_at": START_S + int(at_s),
        }

    def _impression(self, number: int, user: int, at_s: float) -> list[Record]:
        rng, live = self._rng, self._live(at_s)
        length = min(len(live), int(rng.integers(15, 60)))
        weights = np.exp(-(at_s - self._born_s[live]) / (LIFE_S / 2))
        shown = rng.choice(live, length, replace=False, p=weights / weights.sum())
        clicked = shown[rng.random(length) < 1 / (1 + np.exp(-self._logits(user, shown, at_s)))]
        common = {"user_id": f"u{user}", "impression_id": f"p{number}"}
        at = START_S + int(at_s)
        views = [
            common
            | {
                "event_id": f"v{number}-{position}",
                "item_id": f"n{article}",
                "kind": "view",
                "occurred_at": at,
                "position": position,
            }
            for position, article in enumerate(shown)
        ]
        delays = 1 + rng.exponential(self._size.mean_click_delay_s, len(clicked))
        clicks = [
            common
            | {
                "event_id": f"c{number}-{article}",
                "item_id": f"n{article}",
                "kind": "click",
                "occurred_at": at + int(delay_s),
            }
            for article, delay_s in zip(clicked, delays, strict=True)
        ]
        return views + clicks

    def _logits(self, user: int, shown_C: NDArray[np.intp], at_s: float) -> Floats:
        """Of a click, in the order shown: (C,)."""
        places_C = np.arange(len(shown_C))
        return LEVEL + self._wanted(user, shown_C, at_s) - POSITION * np.log1p(places_C)

    def _wanted(self, user: int, articles_C: NDArray[np.intp], at_s: float) -> Floats:
        """Tastes, appeal and news: (C,)."""
        age_C = (at_s - self._born_s[articles_C]) / self._fade_s[articles_C]
        news_C = self._heat[articles_C] + 1.5 * np.exp(-age_C) - 0.75
        taste_C, appeal_C = self._taste_UA[user, articles_C], self._of.lifts_A[articles_C]
        return np.asarray(TASTE * taste_C + APPEAL * appeal_C + news_C)


def newsroom(
    tests: Sequence[Record], size: Size | None = None, seed: int = 0
) -> tuple[list[Record], list[Record]]:
    """Items and events. Raises ValueError when the tests hold too few headlines."""
    day = Newsroom(tests, size or Size(), seed)
    return day.items(), day.events()


def read_tests(path: Path) -> list[Record]:
    """Packed by xz or not."""
    packed = path.read_bytes()
    lines = lzma.decompress(packed) if path.suffix == ".xz" else packed
    return [json.loads(line) for line in lines.splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tests", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--impressions", type=int, default=Size().impressions)
    parser.add_argument("--direct", type=float, default=0.0, help="reads outside lists, a list")
    options = parser.parse_args()
    size = Size(impressions=options.impressions, direct=options.direct)
    items, events = newsroom(read_tests(options.tests), size, options.seed)
    write(options.out, items, events)
    clicks = sum(event["kind"] == "click" for event in events)
    print(f"{len(items):,} items, {len(events):,} events, {clicks:,} clicks: {options.out}")


if __name__ == "__main__":
    main()
