"""What the guards against poison do to an honest stream, and what to a poisoned one.

    python -m benchmarks.guards gate ITEMS.jsonl EVENTS.jsonl [--limit N] [--release N] [--gate N]
    python -m benchmarks.guards quota ITEMS.jsonl EVENTS.jsonl [--limit N]
    python -m benchmarks.guards alarm ITEMS.jsonl EVENTS.jsonl [--limit N]

*gate* plays the examples to the learner as the trainer does: a candidate every ``--release``
examples, judged on the next ``--gate``; prints the gate's numbers over all trials with what was
rejected and why. The head alone learns. *quota* counts the examples that weigh less than 1,
*alarm* the alarms on the population; neither needs a model.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np

from streamrec.apps import clients
from streamrec.core import topics
from streamrec.core.events import Interaction, Item
from streamrec.core.ledger.ledger import Ledger
from streamrec.core.release.gate import Reject
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import Located
from streamrec.core.state.statistics import Statistics
from streamrec.loop.training.trial import Candidate, Champion, Former, Trial
from streamrec.models.item_index import ItemIndex
from streamrec.models.loading import load_encoder
from streamrec.settings import load
from streamrec.tasks.ranking.drift import ShiftRules, ShiftWatch
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_examples, ranking_fold
from streamrec.tasks.ranking.examples import RankingExample
from streamrec.tasks.ranking.gate_metrics import RankingGateRules, RankingJudge
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner
from streamrec.tasks.ranking.quota import Quota, QuotaRules

RUN = 64
QUOTAS = ((512, 0.125, 0.25), (512, 0.25, 0.25), (2048, 0.125, 0.25), (2048, 0.25, 0.25))
WINDOWS = (60, 200)
ANCHOR_RELEASES = 10


JUDGE = RankingJudge(RankingGateRules())


def read(path: Path, topic: str, limit: int | None = None) -> list[object]:
    codec = clients.codec(load({}))
    with path.open("rb") as file:
        return [codec.decode(topic, line.strip()) for line in islice(file, limit) if line.strip()]


def fold(catalogue: Catalogue, events: Sequence[Interaction]) -> Iterator[list[RankingExample]]:
    """Examples of each run."""
    folded = ranking_fold(0, RankingRules(), catalogue, Statistics(catalogue))
    for start in range(0, len(events), RUN):
        part = events[start : start + RUN]
        run = [Located(start + n, e.occurred_at_ms, e) for n, e in enumerate(part)]
        folded.put_users(dict.fromkeys(folded.missing_users(run)))
        yield ranking_examples(folded.apply(run, now_ms=0))


def trials(
    learner: OnlineLearner, batches: Sequence[Sequence[RankingExample]], release: int, gate: int
) -> None:
    numbers: dict[str, list[float]] = {}
    rejected: Counter[str] = Counter()
    champion, former, made = Champion("g0", learner.snapshot()), list[Former](), 0
    trial: Trial | None = None
    waiting = learned = limited = 0
    for batch in batches:
        if trial is not None:
            trial.watch(batch)
        report = learner.learn(batch)
        learned, limited = learned + report.examples, limited + report.limited
        waiting += len(batch)
        if trial is not None and trial.examples >= gate:
            verdict = trial.verdict({})
            note(numbers, verdict.report)
            if isinstance(verdict, Reject):
                rejected.update(reason.split()[0] for reason in verdict.reasons)
                rejected["any"] += 1
                print("rejected", made, verdict.reasons)
            else:
                former = [*former, Former(f"g{made}", champion.scorer)][-ANCHOR_RELEASES:]
                champion = Champion(f"g{made}", trial.candidate.scorer, former[0])
            trial = None
        if trial is None and waiting >= release:
            made, waiting = made + 1, 0
            trial = Trial(Candidate(made, learner.snapshot(), Ledger(), 0, 0), champion, JUDGE)
    print(f"{made} candidates; rejected: {dict(rejected)}")
    print(f"{limited} of {learned} examples limited by a quota")
    for name, values in sorted(numbers.items()):
        low, mid, high, most = np.percentile(values, [5, 50, 95, 100])
        print(f"{name:28} n {len(values):4}  5% {low:8.4f}  50% {mid:8.4f}  "
              f"95% {high:8.4f}  max {most:8.4f}")  # fmt: skip


def note(numbers: dict[str, list[float]], report: object) -> None:
    for name, m in report.metrics.items():
        numbers.setdefault(name, []).append(m.candidate)
        numbers.setdefault(f"{name} better by", []).append(m.difference)
    for name, m in report.references.items():
        numbers.setdefault(f"mrr over {name}", []).append(m.difference)
    for name, norm in report.norms.items():
        numbers.setdefault(name, []).append(norm)


def quotas(_: Sequence[Item], batches: Sequence[Sequence[RankingExample]]) -> None:
    for window, user_share, item_share in QUOTAS:
        quota = Quota(QuotaRules(window, user_share, item_share))
        for batch in batches:
            quota.weigh(batch)
        examples = sum(map(len, batches))
        print(f"window {window}, user {user_share}, item {item_share}: "
              f"{quota.limited:,} of {examples:,} examples weigh less")  # fmt: skip


def alarms(items: Sequence[Item], batches: Sequence[Sequence[RankingExample]]) -> None:
    categories = {item.item_id: item.categories for item in items}
    for window in WINDOWS:
        watch = ShiftWatch(ShiftRules(window=window), lambda name: categories.get(name, ()))
        raised = []
        for example in chain.from_iterable(batches):
            if watch.observe([example]) and watch.alarm:
                raised.append((watch.windows, "; ".join(map(str, watch.alarm))))
        print(f"{watch.windows} windows of {window}: {len(raised)} alarms")
        for number, why in raised[:8]:
            print(f"    window {number}: {why}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("gate", "quota", "alarm"))
    parser.add_argument("items", type=Path)
    parser.add_argument("events", type=Path)
    parser.add_argument("--limit", type=int, default=20_000)
    parser.add_argument("--release", type=int, default=500)
    parser.add_argument("--gate", type=int, default=200)
    options = parser.parse_args()
    items = read(options.items, topics.ITEMS)
    events = read(options.events, topics.EVENTS, options.limit)
    named = {event.item_id for event in events}
    catalogue = Catalogue()
    catalogue.put([item for item in items if item.item_id in named])
    batches = list(fold(catalogue, events))
    if options.what != "gate":
        {"quota": quotas, "alarm": alarms}[options.what](items, batches)
        return
    encoder = load_encoder(load({}).encoder)
    index = ItemIndex(encoder)
    index.ensure(catalogue)
    learner = OnlineLearner(catalogue, index, 0, LearnerConfig(adapter=None), encoder)
    trials(learner, batches, options.release, options.gate)


if __name__ == "__main__":
    main()
