"""Where clicks outside lists come first: what they do to the ranking of lists shown later.

    python -m benchmarks.first_day TESTS.jsonl[.xz] [--seeds 1,2,3] [--impressions 5000]

One newsroom's day for each seed (``benchmarks.newsroom``), folded once; then the head learns from
the same examples in each of ``WAYS``, predict then learn. AUC within lists of the second half
of the events, gains averaged over seeds; differences to the loop as it is, paired bootstrap over
users of all seeds, 95 %. Next clicks are not ranked: what a way costs them is not measured here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.datasets import Record, write
from benchmarks.newsroom import Size, newsroom, read_tests
from benchmarks.prepared import prepare
from streamrec.core.examples import FloatArray
from streamrec.core.measures.prequential import Impressions
from streamrec.core.state.user_state import UserState
from streamrec.lab.measures.significance import paired_bootstrap
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.replay import Replay, ReplayOptions
from streamrec.ports import LearnReport
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample
from streamrec.tasks.ranking.features import FeatureMaker
from streamrec.tasks.ranking.model.learner import OnlineLearner

Examples = list[RankingExample]
NewLearner = Callable[[], OnlineLearner]


@dataclass(slots=True)
class Recording:
    """A replay's learner that learns nothing: it keeps what it is asked and told, in order."""

    moments: list[tuple[bool, Examples]] = field(default_factory=list)  # whether asked

    def score(self, examples: Sequence[RankingExample]) -> list[FloatArray]:
        lists = [e for e in examples if e.kind is ExampleKind.IMPRESSION]
        if lists:
            self.moments.append((True, lists))
        return [np.zeros(len(e.candidates), np.float32) for e in examples]

    def rank(
        self,
        users: Sequence[UserState],
        _now_ms: Sequence[int],
        features: FeatureMaker,
        _queries: Sequence[str] = (),
    ) -> FloatArray:
        return np.zeros((len(users), len(features.item_NI)), np.float32)

    def learn(self, examples: Sequence[RankingExample]) -> LearnReport:
        self.moments.append((False, list(examples)))
        return LearnReport(len(examples), 0, 0, {})

    def snapshot(self) -> Recording:
        return self


def shown(examples: Examples) -> Examples:
    return [e for e in examples if e.kind is ExampleKind.IMPRESSION]


@dataclass(frozen=True, slots=True)
class Way:
    """Whether clicks outside lists teach before the first list has closed, and after; whether the
    head begins anew then. In statistics they always count."""

    before: bool = True
    after: bool = True
    anew: bool = False


AS_IT_IS = "as it is"
WAYS: Mapping[str, Way] = {
    AS_IT_IS: Way(),
    "anew at the first list": Way(anew=True),
    "anew at the first list, then lists alone": Way(after=False, anew=True),
    "lists alone": Way(before=False, after=False),
}


class Taught:
    """A learner that is taught in one way."""

    def __init__(self, way: Way, new: NewLearner) -> None:
        self._way, self._new, self._begun = way, new, False
        self.learner = new()

    def learn(self, examples: Examples) -> None:
        lists = shown(examples)
        if lists and not self._begun:
            self._begun = True
            if self._way.anew:
                self.learner = self._new()
        teaches = self._way.after if self._begun else self._way.before
        self.learner.learn(examples if teaches else lists)


@dataclass(frozen=True, slots=True, eq=False)
class Gains:
    """AUC of each list that has both outcomes, from ``first`` on, and whose list it is."""

    auc_E: FloatArray
    users: list[str]
    seen: int  # lists, those without both outcomes too


def gains(moments: Sequence[tuple[bool, Examples]], first: int, new: NewLearner, way: Way) -> Gains:
    """``first``: number of the event from which lists are looked at."""
    taught, found, users, seen = Taught(way, new), [], [], 0
    scorer = taught.learner.snapshot()
    for asked, examples in moments:
        if not asked:
            taught.learn(examples)
            scorer = taught.learner.snapshot()
            continue
        late = [e for e in examples if e.offset >= first]
        seen += len(late)
        for one, scores_C in zip(late, scorer.score(late), strict=True):
            auc = Impressions().add(scores_C, one.labels_C)
            if auc.n:
                found.append(auc.report()["auc"])
                users.append(one.user_id)
    return Gains(np.array(found, np.float32), users, seen)


def recorded(items: list[Record], events: list[Record]) -> tuple[Recording, int, NewLearner]:
    """What one replay asks and tells, the middle of its events, and learners for it."""
    with TemporaryDirectory() as directory:
        write(Path(directory), items, events)
        prepared = prepare(Path(directory), len(events))
    recording = Recording()
    stream = RecordedStream(prepared.items, prepared.events)
    replay = Replay(stream, prepared.catalogue, recording, ReplayOptions())
    replay.play()
    return recording, replay.span.part(0.5), prepared.learner


def table(by_way: Mapping[str, Sequence[Gains]]) -> Iterator[str]:
    base = by_way[AS_IT_IS]
    base_E = np.concatenate([one.auc_E for one in base])
    names = [f"{seed}-{user}" for seed, one in enumerate(base) for user in one.users]
    users_E = np.unique(names, return_inverse=True)[1]
    yield f"{sum(one.seen for one in base):,} lists, {len(base_E):,} with both outcomes\n"
    yield "| | AUC | to the loop as it is | by seed |\n|---|---|---|---|"
    for name, of_seeds in by_way.items():
        auc_E = np.concatenate([one.auc_E for one in of_seeds])
        each = ", ".join(f"{one.auc_E.mean():.4f}" for one in of_seeds)
        c = paired_bootstrap(users_E, auc_E, base_E, np.random.default_rng(0), 2_000)
        low, high = c.difference_interval
        to_base = "" if of_seeds is base else f"{c.difference:+.4f} [{low:+.4f}, {high:+.4f}]"
        yield f"| {name} | {auc_E.mean():.4f} | {to_base} | {each} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tests", type=Path)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--impressions", type=int, default=Size().impressions)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tests = read_tests(options.tests)
    by_way: dict[str, list[Gains]] = {name: [] for name in WAYS}
    for seed in map(int, options.seeds.split(",")):
        made = newsroom(tests, Size(impressions=options.impressions), seed)
        recording, middle, new = recorded(*made)
        for name, way in WAYS.items():
            one = gains(recording.moments, middle, new, way)
            by_way[name].append(one)
            print(f"seed {seed}, {name}: {one.auc_E.mean():.4f}", flush=True)
    print()
    for line in table(by_way):
        print(line)


if __name__ == "__main__":
    main()
