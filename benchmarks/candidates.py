"""What candidates cost in quality: a recorded stream, every item scored beside candidates alone.

    python -m benchmarks.candidates ITEMS.jsonl EVENTS.jsonl [--first 20000] [--warmup 5000]

One model learns (its head; the encoder stands still) and predicts every next click twice: from the
scores of all items, and with all that are no candidates put last. Prints as JSON the hit rate and
NDCG of both, their difference with its 95 % interval, and recall@10 of the exact ten best.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from streamrec.apps import clients
from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.user_state import UserState
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.recorded_main import fold_rules, read_events, read_items, roomy
from streamrec.lab.replay.replay import Replay, ReplayOptions
from streamrec.models.item_index import ItemIndex
from streamrec.models.loading import load_encoder
from streamrec.ports import LearnReport
from streamrec.settings import load
from streamrec.tasks.ranking.candidates.pooling import CandidatePools
from streamrec.tasks.ranking.examples import RankingExample
from streamrec.tasks.ranking.features import FeatureMaker
from streamrec.tasks.ranking.lists.model_ports import PoolRequest
from streamrec.tasks.ranking.model.config import learner_config
from streamrec.tasks.ranking.model.learner import LearnerSnapshot, OnlineLearner

TOP = 10
LAST = -1e9
"""The score of what is no candidate."""


class Remembering(OnlineLearner):
    """Tells others what it has done."""

    report = LearnReport(0, 0, 0, {})

    def learn(self, examples: Sequence[RankingExample]) -> LearnReport:
        self.report = super().learn(examples)
        return self.report


class Candidates:
    """``lab.replay.contest.ReplayLearner``: the same weights, candidates alone."""

    def __init__(self, learner: Remembering, index: ItemIndex, catalogue: Catalogue) -> None:
        self.learner, self.index, self.catalogue = learner, index, catalogue
        self.recalls: list[float] = []
        self.sizes: list[int] = []

    def learn(self, examples: Sequence[RankingExample]) -> LearnReport:
        del examples
        return self.learner.report

    def snapshot(self) -> CandidateScorer:
        return CandidateScorer(self.learner.snapshot(), self)


class CandidateScorer:
    def __init__(self, ranker: LearnerSnapshot, of: Candidates) -> None:
        self._ranker, self._of = ranker, of
        self._pools = CandidatePools(ranker.head, of.index, of.catalogue)
        self._features: FeatureMaker | None = None

    def score(self, examples: Sequence[RankingExample]) -> list[FloatArray]:
        return self._ranker.score(examples)

    def rank(
        self,
        users: Sequence[UserState],
        now_ms: Sequence[int],
        features: FeatureMaker,
        queries: Sequence[str] = (),
    ) -> FloatArray:
        del queries
        if features is not self._features:
            self._features = features
            self._pools.prepare(features)
        exact_BN = self._ranker.rank(users, now_ms, features)
        asked = [PoolRequest(user, at, TOP) for user, at in zip(users, now_ms, strict=True)]
        found = self._pools.ranking(asked, features)
        alone_BN = np.full_like(exact_BN, LAST)
        for alone_N, exact_N, rows, scores, user in zip(
            alone_BN, exact_BN, found.rows, found.scores, users, strict=True
        ):
            alone_N[rows] = scores
            able_N = exact_N.copy()
            able_N[self._of.catalogue.rows(user.consumed)] = -np.inf
            best = np.argsort(-able_N, kind="stable")[:TOP]
            self._of.recalls.append(float(np.isin(best, rows).mean()))
            self._of.sizes.append(len(rows))
        return alone_BN


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("items", type=Path)
    parser.add_argument("events", type=Path)
    parser.add_argument("--first", type=int, default=20_000)
    parser.add_argument("--warmup", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    settings = load()
    codec = clients.codec(settings)
    events = read_events(given.events, codec)[: given.first]
    stream = RecordedStream(read_items(given.items, codec), events)
    catalogue = Catalogue()
    catalogue.put(stream.items)
    encoder = load_encoder(roomy(settings.encoder))
    index = ItemIndex(encoder)
    index.ensure(catalogue)
    index.keep_nearest(1)
    print(f"{len(index)} items are encoded", file=sys.stderr, flush=True)
    config = replace(learner_config(settings, encoder), adapter=None)
    learner = Remembering(catalogue, index, given.seed, config, encoder)
    beside = Candidates(learner, index, catalogue)
    options = ReplayOptions(
        warmup_until_ms=stream.events[given.warmup].occurred_at_ms,
        rules=fold_rules(settings),
        seed=given.seed,
    )
    replay = Replay(stream, catalogue, learner, options, {"candidates": beside})

    def tell(at) -> None:
        if at.events // 1_000 != (at.events - 32) // 1_000:
            recall = np.mean(beside.recalls) if beside.recalls else 0.0
            print(f"{at.events} of {at.of}: recall {recall:.4f}", file=sys.stderr, flush=True)

    report = replay.run(tell)
    other = report["compare"]["candidates"]
    shown = {
        "clicks": report["next_click"],
        "candidates": other["next_click"],
        "difference": other["difference"],
        "recall@10": float(np.mean(beside.recalls)),
        "candidates a list": float(np.mean(beside.sizes)),
    }
    print(json.dumps(shown, default=str))


if __name__ == "__main__":
    main()
