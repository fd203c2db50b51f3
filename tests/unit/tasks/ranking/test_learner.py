"""The ranker and the learner, over random vectors: no language model is needed for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from streamrec.core.events import Interaction, Item, Kind
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import Located
from streamrec.core.state.statistics import Statistics
from streamrec.errors import GenerationRefused
from streamrec.models.dot_rows import DotRows
from streamrec.models.item_index import Vectors
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_examples, ranking_fold
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample
from streamrec.tasks.ranking.features import FEATURES, FeatureMaker, candidate_features
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner
from streamrec.tasks.ranking.quota import QuotaRules

ITEMS = [Item(f"i{n}", f"Item {n}", categories=(f"c{n % 3}",)) for n in range(40)]


class RandomVectors(Vectors):
    """Stands for an index: fixed unit vectors by row; ``indexed`` rows of the catalogue."""

    def __init__(self, indexed: int = len(ITEMS)) -> None:
        generator = torch.Generator().manual_seed(1)
        self._vectors = torch.nn.functional.normalize(
            torch.randn(indexed, 8, generator=generator), dim=-1
        )

    @property
    def vectors(self) -> Tensor:
        return self._vectors

    @property
    def dots(self) -> DotRows:
        return DotRows(self._vectors)

    def ensure(self, catalogue: Catalogue) -> int:
        return 0


class Loop:
    """A stream of clicks of a world where odd users like odd items, folded."""

    def __init__(self, events: int = 300, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.catalogue = Catalogue()
        self.catalogue.put(ITEMS)
        self.statistics = Statistics(self.catalogue)
        self.fold = ranking_fold(
            0, RankingRules(sampled_negatives=10), self.catalogue, self.statistics
        )
        self.examples: list[RankingExample] = []
        for start in range(0, events, 20):
            run = [self._click(n, rng) for n in range(start, start + 20)]
            self.fold.put_users(dict.fromkeys(self.fold.missing_users(run)))
            self.examples += ranking_examples(self.fold.apply(run, 0))

    @staticmethod
    def _click(n: int, rng: np.random.Generator) -> Located:
        user = int(rng.integers(20))
        item = 2 * int(rng.integers(20)) + user % 2
        return Located(
            n, 0, Interaction(f"e{n}", f"u{user}", f"i{item}", Kind.CLICK, 1_000_000 + n * 60_000)
        )


@pytest.mark.parametrize("indexed", [len(ITEMS), len(ITEMS) - 5])
def test_both_paths_of_the_ranker_give_the_same_score(indexed: int) -> None:
    loop = Loop()
    learner = OnlineLearner(loop.catalogue, RandomVectors(indexed), seed=0)
    learner.learn(loop.examples)
    ranker = learner.snapshot()
    users = [loop.fold.user("u3"), loop.fold.user("u4"), loop.fold.user("nobody")]
    now_ms = [1_000_000 + 400 * 60_000] * 3
    scores_BN = ranker.rank(users, now_ms, FeatureMaker(loop.statistics, loop.catalogue))
    rows = np.arange(len(ITEMS))
    for user, scores_N in zip(users, scores_BN, strict=True):
        stats = candidate_features(user, rows, now_ms[0], loop.statistics, loop.catalogue)
        example = RankingExample(
            partition=0,
            offset=0,
            index=0,
            kind=ExampleKind.NEXT_CLICK,  # the kind whose calibration is served here
            user_id="u",
            shown_at_ms=0,
            produced_at_ms=0,
            history=user.history,
            candidates=tuple(item.item_id for item in ITEMS),
            labels_C=np.zeros(len(ITEMS), np.float32),
            stats_CF=stats,
            log_q_C=np.zeros(len(ITEMS), np.float32),
        )
        (p_C,) = ranker.score([example])
        np.testing.assert_allclose(ranker.probability(scores_N), p_C, atol=1e-5)


def test_learning_ranks_better_than_the_start() -> None:
    loop = Loop(events=1_200)
    learner = OnlineLearner(loop.catalogue, RandomVectors(), seed=0)
    before = learner.snapshot()
    learner.learn(loop.examples[:1_000])
    after = learner.snapshot()

    def mean_rank(scorer: object) -> float:
        scores = scorer.score(loop.examples[1_000:])
        return float(np.mean([(p > p[0]).sum() / len(p) for p in scores]))

    assert mean_rank(after) < mean_rank(before) - 0.05


def test_a_snapshot_does_not_move_when_learning_goes_on() -> None:
    loop = Loop()
    learner = OnlineLearner(loop.catalogue, RandomVectors(), seed=0)
    learner.learn(loop.examples[:100])
    snapshot = learner.snapshot()
    before = snapshot.score(loop.examples[:3])
    learner.learn(loop.examples[100:])
    for ours, theirs in zip(snapshot.score(loop.examples[:3]), before, strict=True):
        assert np.array_equal(ours, theirs)


def test_a_seed_gives_the_same_weights_however_examples_are_handed_over() -> None:
    loop = Loop()
    scores = []
    for size in (7, 100):
        learner = OnlineLearner(loop.catalogue, RandomVectors(), seed=3)
        for start in range(0, len(loop.examples), size):
            learner.learn(loop.examples[start : start + size])
        scores.append(learner.snapshot().score(loop.examples[:5]))
    for one, other in zip(*scores, strict=True):
        assert np.array_equal(one, other)


def test_a_resumed_learner_goes_on_bit_for_bit(tmp_path: Path) -> None:
    loop = Loop()
    whole = OnlineLearner(loop.catalogue, RandomVectors(), seed=3)
    whole.learn(loop.examples[:150])
    whole.save(tmp_path)
    resumed = OnlineLearner(loop.catalogue, RandomVectors(), seed=99)
    resumed.load(tmp_path)
    for learner in (whole, resumed):
        learner.learn(loop.examples[150:])
    scores = [learner.snapshot().score(loop.examples[:5]) for learner in (whole, resumed)]
    for one, other in zip(*scores, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("file", ["learner.safetensors", "learner.json"])
def test_a_checkpoint_that_is_not_whole_is_refused(tmp_path: Path, file: str) -> None:
    loop = Loop(events=100)
    learner = OnlineLearner(loop.catalogue, RandomVectors(), seed=0)
    learner.learn(loop.examples)
    learner.save(tmp_path)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:-20])
    with pytest.raises(GenerationRefused):
        OnlineLearner(loop.catalogue, RandomVectors(), seed=0).load(tmp_path)


def test_a_checkpoint_follows_its_items_into_a_catalogue_in_another_order(tmp_path: Path) -> None:
    loop = Loop(events=100)
    learner = OnlineLearner(loop.catalogue, RandomVectors(), seed=0)
    learner.learn(loop.examples[:40])
    learner.save(tmp_path)
    turned = Catalogue()
    turned.put(reversed(ITEMS))
    resumed = OnlineLearner(turned, RandomVectors(), seed=0)
    resumed.load(tmp_path)
    again = tmp_path / "again"
    again.mkdir()
    resumed.save(again)
    last = len(ITEMS) - 1
    rows, turned_rows = (
        load_file(str(d / "learner.safetensors"))["memory.rows"] for d in (tmp_path, again)
    )
    assert (turned_rows[rows >= 0] == last - rows[rows >= 0]).all()
    assert (turned_rows[rows < 0] == -1).all()


def test_wide_examples_keep_what_was_accepted() -> None:
    loop = Loop(events=40)
    wide = RankingExample(
        partition=0,
        offset=0,
        index=0,
        kind=ExampleKind.IMPRESSION,
        user_id="u",
        shown_at_ms=0,
        produced_at_ms=0,
        history=("i1",),
        candidates=tuple(f"i{n % 40}" for n in range(300)),
        labels_C=np.eye(300, dtype=np.float32)[250],
        stats_CF=np.zeros((300, len(FEATURES)), np.float32),
        log_q_C=np.zeros(300, np.float32),
    )
    learner = OnlineLearner(loop.catalogue, RandomVectors(), 0, LearnerConfig(step_examples=4))
    report = learner.learn([wide] * 4)
    assert report.steps == 1
    assert np.isfinite(list(report.losses.values())).all()
    assert report.losses["listwise"] > 0.0


def flood(loop: Loop, count: int) -> list[RankingExample]:
    """One user's examples, over and over: what is accepted is what the others refuse."""
    template = next(e for e in loop.examples if len(e.candidates) > 2)
    labels = np.zeros_like(template.labels_C)
    labels[1] = 1.0
    return [
        replace(template, user_id="bot", labels_C=labels, offset=10_000 + n) for n in range(count)
    ]


def test_a_flooding_user_is_learned_no_more_than_the_quota() -> None:
    loop = Loop()
    quota = QuotaRules(window=100, user_share=0.1, item_share=1.0)
    bounded = OnlineLearner(loop.catalogue, RandomVectors(), 0, LearnerConfig(quota=quota))
    report = bounded.learn(flood(loop, 90))
    assert (report.examples, report.limited, report.steps) == (90, 80, 0)
    assert bounded.learn(loop.examples[:10]).limited == 0


def test_a_resumed_learner_weighs_as_the_one_before(tmp_path: Path) -> None:
    loop = Loop()
    config = LearnerConfig(quota=QuotaRules(window=64, user_share=0.1, item_share=0.5))
    whole, half = (OnlineLearner(loop.catalogue, RandomVectors(), 0, config) for _ in range(2))
    stream = [*loop.examples[:70], *flood(loop, 20), *loop.examples[70:120]]
    whole.learn(stream)
    half.learn(stream[:80])
    half.save(tmp_path)
    resumed = OnlineLearner(loop.catalogue, RandomVectors(), 0, config)
    resumed.load(tmp_path)
    resumed.learn(stream[80:])
    scores = zip(whole.snapshot().score(stream), resumed.snapshot().score(stream), strict=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in scores)


@pytest.mark.parametrize(
    "config",
    [LearnerConfig(replayed=0), LearnerConfig(reservoir=0), LearnerConfig(recent=32, reservoir=64)],
)
def test_memory_may_be_small_or_unused(config: LearnerConfig) -> None:
    loop = Loop()
    learner = OnlineLearner(loop.catalogue, RandomVectors(), 0, config)
    report = learner.learn(loop.examples)
    assert report.steps == len(loop.examples) // config.step_examples
    assert np.isfinite(report.losses["listwise"])


def test_a_checkpoint_of_a_memory_of_another_size_is_refused(tmp_path: Path) -> None:
    loop = Loop()
    learner = OnlineLearner(loop.catalogue, RandomVectors(), 0, LearnerConfig(recent=64))
    learner.learn(loop.examples)
    learner.save(tmp_path)
    other = OnlineLearner(loop.catalogue, RandomVectors(), 0, LearnerConfig(recent=128))
    with pytest.raises(GenerationRefused, match="slots"):
        other.load(tmp_path)
