"""Tastes swap half-way through a stream: how long it hurts, and what is left of the old taste.

    python -m benchmarks.drift DIRECTORY [--swap users] [--events 20000] [--seeds 2]
                               [--plot curve.svg]

DIRECTORY holds items.jsonl and events.jsonl (benchmarks/datasets.py). The catalogue is parted
in two by its categories: those most often accepted go to the first half until it has half of
all accepted events. Between 1/2 and 3/4 of the stream tastes are swapped; then the old taste
is back. In one of two ways:

- *users*: a user is of the half that more of their accepted items are of; both halves are
  sorted by accepted events over the whole stream, the n-th users of both become partners, and
  every event is its user's partner's. Whoever liked one kind now likes the other, and every
  history says the wrong thing at once; what is popular stays popular.
- *items*: the same with items, and every event names the partner of its item. Popularity,
  pairs and histories all say the wrong thing at once; texts stay.

Fast lane, predict then learn; *static* is the same model, its weights frozen at 3/10, its
statistics live; *begun at the swap* is the same model with no past at all: neither statistics
nor weights from before. Who does no better than it has nothing useful left of the past; who
does no worse has forgotten as much as there is to be gained by forgetting.

Printed: NDCG@10 of stretches of the stream, undisturbed and swapped, and after how many
events the mean of the last WINDOW events is back at 90 % of its level before the swap (the
4,000 events before it), and at 90 % of what the undisturbed run has on the same events (a
stream has easier and harder stretches); the same for the return of the old taste.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.prepared import Prepared, prepare
from streamrec.core.events import Interaction, Item
from streamrec.lab.measures.chart import line_chart
from streamrec.lab.measures.leaderboard import Prediction, gain
from streamrec.lab.replay.compare import LearnsUntil
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.replay import Replay, ReplayOptions

SWAP, BACK, STATIC_FROM = 0.5, 0.75, 0.3
USERS, ITEMS = "users", "items"
LEVEL_EVENTS = 4_000
WINDOW = 500
ENOUGH = 0.9


def partner_items(items: Sequence[Item], events: Sequence[Interaction]) -> dict[str, str]:
    """Each item's counterpart in the other half of the tastes; its own inverse."""
    accepts = Counter(event.item_id for event in events if event.accepted)
    first = _first_half(items, accepts)
    in_first = {item.item_id: bool(first & set(item.categories)) for item in items}
    return _paired(in_first, accepts)


def partner_users(items: Sequence[Item], events: Sequence[Interaction]) -> dict[str, str]:
    """Each user's counterpart in the other half of the tastes; its own inverse."""
    first = _first_half(items, Counter(e.item_id for e in events if e.accepted))
    of_first = {item.item_id for item in items if first & set(item.categories)}
    accepts = Counter(e.user_id for e in events if e.accepted)
    accepts_of_first = Counter(e.user_id for e in events if e.accepted and e.item_id in of_first)
    return _paired({u: 2 * accepts_of_first[u] > n for u, n in accepts.items()}, accepts)


def _paired(in_first: Mapping[str, bool], accepts: Mapping[str, int]) -> dict[str, str]:
    """The n-th most accepted (or accepting) of one half with the n-th of the other."""
    halves: tuple[list[str], list[str]] = ([], [])
    for name in sorted(in_first, key=lambda name: (-accepts[name], name)):
        halves[not in_first[name]].append(name)
    pairs = list(zip(*halves, strict=False))  # the larger half keeps some to itself
    return dict(pairs) | {other: one for one, other in pairs}


def _first_half(items: Sequence[Item], accepts: Mapping[str, int]) -> set[str]:
    """Categories, the most accepted first, until their items have half of all accepted events."""
    of_category: Counter[str] = Counter()
    for item in items:
        of_category.update(dict.fromkeys(item.categories, accepts[item.item_id]))
    total, chosen = sum(accepts.values()), set[str]()
    for category, _ in of_category.most_common():
        covered = sum(accepts[i.item_id] for i in items if chosen & set(i.categories))
        if 2 * covered >= total:
            break
        chosen.add(category)
    return chosen


def swapped(
    events: Sequence[Interaction], of: str, partner: Mapping[str, str], start: int, stop: int
) -> list[Interaction]:
    """Events ``[start, stop)`` are the partner's of their user, or name that of their item.

    ``of``: ``users`` or ``items``. Who has no partner stays.
    """

    def changed(event: Interaction) -> Interaction:
        if of == USERS:
            return replace(event, user_id=partner.get(event.user_id, event.user_id))
        return replace(event, item_id=partner.get(event.item_id, event.item_id))

    return [changed(e) if start <= n < stop else e for n, e in enumerate(events)]


Series = tuple[np.ndarray, np.ndarray]  # event numbers, gains
Level = Callable[[int, int], float]  # what is to be reached, of events [start, stop)


def mean(series: Series, start: int, stop: int) -> float:
    """Of the gains at events [start, stop); NaN when there are none."""
    numbers_E, gains_E = series
    inside = (numbers_E >= start) & (numbers_E < stop)
    return float(gains_E[inside].mean()) if inside.any() else float("nan")


def recovery(series: Series, at: int, end: int, level: Level) -> int | None:
    """Events after ``at`` until the mean of the last WINDOW events is ENOUGH of their level.

    The window lies wholly in [at, end), so it is never less than WINDOW. None: not in time.
    """
    for stop in range(at + WINDOW, end + 1, 50):
        start = stop - WINDOW
        if mean(series, start, stop) >= ENOUGH * level(start, stop):
            return stop - at
    return None


def run(prepared: Prepared, events: list[Interaction], seed: int) -> dict[str, list[Prediction]]:
    """Predictions of both contestants over one stream."""
    learner = prepared.learner(seed=seed)
    static = LearnsUntil(prepared.learner(seed=seed), int(STATIC_FROM * len(events)))
    replay = Replay(
        RecordedStream(prepared.items, events),
        prepared.catalogue,
        learner,
        ReplayOptions(),
        {"static": static},
    )
    ours, theirs = replay.play()
    return {"streamrec": ours.predictions, "static": theirs.predictions}


def from_nothing(prepared: Prepared, events: list[Interaction], seed: int) -> list[Prediction]:
    """Predictions of a learner that sees the stream between swap and return alone."""
    start, stop = int(SWAP * len(events)), int(BACK * len(events))
    stream = RecordedStream(prepared.items, events[start:stop])
    replay = Replay(stream, prepared.catalogue, prepared.learner(seed=seed), ReplayOptions())
    replay.play()
    return [replace(p, number=p.number + start) for p in replay.predictions]


def series(runs: Sequence[list[Prediction]]) -> Series:
    """Event numbers, and gains averaged over seeds."""
    kept = [p for p in runs[0] if gain(p) is not None]
    gains = np.array([[gain(p) for p in run if gain(p) is not None] for run in runs], float)
    return np.array([p.number for p in kept]), gains.mean(0)


def report(name: str, shown: Series, events: int) -> None:
    """One line: the mean of each stretch."""
    swap, back = int(SWAP * events), int(BACK * events)
    edges = {
        "before": (swap - LEVEL_EVENTS, swap),
        "0-500 after": (swap, swap + 500),
        "500-1000": (swap + 500, swap + 1_000),
        "1000-2000": (swap + 1_000, swap + 2_000),
        "to return": (swap + 2_000, back),
        "0-500 back": (back, back + 500),
        "500-1000 back": (back + 500, back + 1_000),
        "rest": (back + 1_000, events),
    }
    means = (mean(shown, start, stop) for start, stop in edges.values())
    cells = [f"{'-':>13}" if np.isnan(m) else f"{m:>13.4f}" for m in means]
    print(f"{name:<30}" + "".join(cells), flush=True)


def report_recovery(swapped_run: Series, undisturbed: Series, events: int) -> None:
    """After how many events the swap is made good, by both yardsticks."""
    swap, back = int(SWAP * events), int(BACK * events)
    before = mean(swapped_run, swap - LEVEL_EVENTS, swap)
    yardsticks: dict[str, Level] = {
        "the old level": lambda _start, _stop: before,
        "the undisturbed run": lambda start, stop: mean(undisturbed, start, stop),
    }
    for name, level in yardsticks.items():
        first = recovery(swapped_run, swap, back, level)
        again = recovery(swapped_run, back, events, level)
        print(f"{'':<30}  90 % of {name} after {first} events; on return after {again}")


def curve(shown: Series, events: int) -> list[float | None]:
    """The mean of each fortieth of the stream."""
    parts = np.array_split(np.arange(events), 40)
    means = (mean(shown, int(part[0]), int(part[-1]) + 1) for part in parts)
    return [None if np.isnan(m) else m for m in means]


def main() -> None:
    parser = argparse.ArgumentParser(description="Taste swap: recovery and what is left.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--swap", choices=(USERS, ITEMS), default=USERS)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    prepared = prepare(arguments.directory, arguments.events)
    count = len(prepared.events)
    of = arguments.swap
    find = partner_users if of == USERS else partner_items
    partner = find(prepared.items, prepared.events)
    streams = {
        "undisturbed": prepared.events,
        "swapped": swapped(prepared.events, of, partner, int(SWAP * count), int(BACK * count)),
    }
    heads = ["before", "0-500 after", "500-1000", "1000-2000", "to return"]
    heads += ["0-500 back", "500-1000 back", "rest"]
    print(f"{len(partner):,} {of} have a partner; NDCG@10")
    print(" " * 30 + "".join(f"{head:>13}" for head in heads))
    curves: dict[str, list[float | None]] = {}
    undisturbed: dict[str, Series] = {}
    for kind, events in streams.items():
        runs = [run(prepared, events, seed) for seed in range(arguments.seeds)]
        for name in runs[0]:
            shown = series([one[name] for one in runs])
            report(f"{name}, {kind}", shown, count)
            if undisturbed.setdefault(name, shown) is not shown:
                report_recovery(shown, undisturbed[name], count)
            curves[f"{name}, {kind}"] = curve(shown, count)
    begun = series(
        [from_nothing(prepared, streams["swapped"], seed) for seed in range(arguments.seeds)]
    )
    report("begun at the swap", begun, count)
    curves["begun at the swap"] = curve(begun, count)
    if arguments.plot:
        across = ["0 %", "25 %", "50 %: swap", "75 %: back", "100 %"]
        title = "Tastes swap at half, and back at three quarters"
        arguments.plot.write_text(line_chart(curves, title, across, "NDCG@10"), encoding="utf-8")


if __name__ == "__main__":
    main()
