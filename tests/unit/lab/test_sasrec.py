"""SASRec: the network's algebra, and the online learner on sequences it must learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from streamrec.core.events import Item
from streamrec.core.state.catalogue import Catalogue
from streamrec.lab.baselines.sasrec import BEGIN, FIRST_ITEM, PADDING, Sasrec, SasrecSettings
from streamrec.lab.baselines.sasrec_learner import Accepted, SasrecLearner, fresh_and_replayed
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample

SMALL = SasrecSettings(
    dim=16, heads=2, layers=1, max_length=6, dropout=0.1, learning_rate=1e-2, replayed=32
)


def catalogue_of(items):
    catalogue = Catalogue()
    catalogue.put(Item(str(number), f"item {number}") for number in range(items))
    return catalogue


def example(history, *candidates, kind=ExampleKind.NEXT_CLICK, accepted=(0,)):
    labels = np.zeros(len(candidates), np.float32)
    labels[list(accepted)] = 1
    return RankingExample(
        partition=0,
        offset=0,
        index=0,
        kind=kind,
        user_id="u",
        shown_at_ms=0,
        produced_at_ms=0,
        history=tuple(map(str, history)),
        candidates=tuple(map(str, candidates)),
        labels_C=labels,
        stats_CF=np.zeros((len(candidates), 0), np.float32),
        log_q_C=np.zeros(len(candidates), np.float32),
    )


def cycle(start, length, items=12):
    """One user's clicks round the catalogue, as examples: each click with those before it."""
    walk = [(start + step) % items for step in range(length + 1)]
    return [example(walk[:n], walk[n]) for n in range(length + 1)]


def scores(learner, *histories):
    return learner.snapshot().scores([tuple(map(str, h)) for h in histories])


@pytest.mark.parametrize("negatives", [6, 100])  # sampled; the whole catalogue
def test_a_cycle_is_learned(negatives):
    settings = replace(SMALL, negatives=negatives)
    learner = SasrecLearner(catalogue_of(12), settings)
    generator = np.random.default_rng(0)
    for _ in range(100):
        learner.learn(cycle(int(generator.integers(12)), 4))
    found = scores(learner, *([i, i + 1] for i in range(10))).argmax(axis=1)
    assert found.tolist() == list(range(2, 12))


def test_the_order_of_a_history_matters():
    learner = SasrecLearner(catalogue_of(4), SMALL)
    for _ in range(100):
        learner.learn([example([0, 1], 2), example([1, 0], 3)])
    assert scores(learner, [0, 1], [1, 0]).argmax(axis=1).tolist() == [2, 3]


def test_a_seed_says_it_all_and_leaves_the_global_generator_alone():
    def trained(seed):
        learner = SasrecLearner(catalogue_of(12), replace(SMALL, seed=seed))
        for start in range(8):
            learner.learn(cycle(start, 3))
        return scores(learner, [1, 2])

    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = trained(0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    np.testing.assert_array_equal(trained(0), first)
    assert not np.array_equal(trained(1), first)


def test_new_items_get_rows_and_old_scores_stay():
    catalogue = catalogue_of(5)
    learner = SasrecLearner(catalogue, SMALL)
    for start in range(5):
        learner.learn(cycle(start, 3, items=5))
    before = scores(learner, [0, 1])
    catalogue.put(Item(f"new {n}", "new") for n in range(40))
    after = scores(learner, [0, 1])
    assert after.shape == (1, 45)
    np.testing.assert_allclose(after[:, :5], before, atol=1e-6)
    for _ in range(60):
        learner.learn([example([0, 1], "new 39")])
    assert scores(learner, [0, 1]).argmax() == 44


def test_theoptimisers_memory_of_a_row_moves_with_the_row():
    catalogue = catalogue_of(4)
    learner = SasrecLearner(catalogue, SMALL)
    learner.learn(cycle(0, 3, items=4))
    (old,) = (s["exp_avg"] for p, s in _adam(learner) if p is learner.network.table)
    catalogue.put(Item(f"later {n}", "later") for n in range(50))
    learner.snapshot()
    (new,) = (s["exp_avg"] for p, s in _adam(learner) if p is learner.network.table)
    assert new.shape == learner.network.table.shape
    assert old.abs().sum() > 0
    torch.testing.assert_close(new[: len(old)], old)
    assert not new[len(old) :].any()


def test_a_snapshot_does_not_move():
    learner = SasrecLearner(catalogue_of(6), SMALL)
    snapshot = learner.snapshot()
    before = snapshot.scores([("1", "2")]).copy()
    learner.learn(cycle(0, 4, items=6))
    np.testing.assert_array_equal(snapshot.scores([("1", "2")]), before)
    assert not np.array_equal(scores(learner, [1, 2]), before)


def test_neighbours_in_a_batch_and_long_histories_do_not_change_scores():
    learner = SasrecLearner(catalogue_of(12), SMALL)
    learner.learn(cycle(0, 5))
    alone = scores(learner, [3])
    beside = scores(learner, [3], range(12), ["unknown"])
    np.testing.assert_allclose(beside[:1], alone, atol=1e-5)
    np.testing.assert_allclose(beside[1:2], scores(learner, range(6, 12)), atol=1e-5)
    np.testing.assert_allclose(beside[2:], scores(learner, []), atol=1e-5)


def test_no_position_sees_what_comes_after_it():
    torch.manual_seed(0)
    network = Sasrec(SMALL).eval()
    network.grow(9, torch.Generator().manual_seed(0))
    tokens = torch.tensor([[PADDING, BEGIN, 3, 4, 5], [PADDING, BEGIN, 3, 4, 9]])
    seen = network(tokens)
    torch.testing.assert_close(seen[0, 1:4], seen[1, 1:4])
    assert not torch.allclose(seen[0, 4], seen[1, 4])


def test_the_loss_over_the_whole_catalogue_is_the_cross_entropy():
    torch.manual_seed(0)
    network = Sasrec(SMALL).eval()
    network.grow(9, torch.Generator().manual_seed(0))
    tokens, rows = torch.tensor([[BEGIN, 3, 4], [BEGIN, 8, 2]]), torch.tensor([7, 0])
    loss = network.softmax_loss(
        network(tokens)[:, -1],
        rows + FIRST_ITEM,
        torch.arange(FIRST_ITEM, FIRST_ITEM + 9),
        torch.zeros(9),
    )
    expected = functional.cross_entropy(network.scores(tokens), rows, reduction="sum")
    torch.testing.assert_close(loss, expected)


def test_sampled_negatives_estimate_the_whole_catalogue():
    """With logQ the mean over many samples comes near the true log-partition."""
    torch.manual_seed(0)
    network = Sasrec(replace(SMALL, init=0.1)).eval()
    network.grow(30, torch.Generator().manual_seed(0))
    wanted, target = network(torch.tensor([[BEGIN, 5]]))[:, -1], torch.tensor([FIRST_ITEM])
    everything = torch.arange(FIRST_ITEM, FIRST_ITEM + 30)
    truth = network.softmax_loss(wanted, target, everything, torch.zeros(30)).item()
    q = torch.softmax(torch.linspace(0, 2, 30), 0)
    losses = []
    for _ in range(300):
        rows = torch.multinomial(q, 200, replacement=True)
        log_q = (200 * q[rows]).log()
        losses.append(network.softmax_loss(wanted, target, rows + FIRST_ITEM, log_q).item())
    assert np.mean(losses) == pytest.approx(truth, abs=0.05)


def test_the_loss_among_shown_items_is_their_cross_entropy():
    torch.manual_seed(0)
    network = Sasrec(SMALL).eval()
    network.grow(9, torch.Generator().manual_seed(0))
    wanted = network(torch.tensor([[BEGIN, 3], [BEGIN, 8]]))[:, -1]
    targets = torch.tensor([7, 0]) + FIRST_ITEM
    shown = torch.tensor([[PADDING, 3 + FIRST_ITEM], [PADDING, PADDING]])
    loss = network.shown_loss(wanted, targets, shown)
    pair = network.scores(torch.tensor([[BEGIN, 3]]))[:, [7, 3]]
    expected = functional.cross_entropy(pair, torch.tensor([0]))  # alone, the other adds nothing
    torch.testing.assert_close(loss, expected)


def test_what_was_shown_and_not_accepted_goes_down():
    """Two items are accepted alike; it counts that one was passed over for the other."""

    def share(kind):
        alike = replace(SMALL, recency=1.0, replayed=100, averaging=0.95)
        learner = SasrecLearner(catalogue_of(4), alike)
        chosen = example([2], 0, 1, kind=kind, accepted=(0,))
        for _ in range(40):
            learner.learn([chosen, example([2], 1)])
        (shares,) = learner.snapshot().score([chosen])
        return shares[0]

    assert share(ExampleKind.NEXT_CLICK) == pytest.approx(1 / 2, abs=0.08)
    assert share(ExampleKind.IMPRESSION) == pytest.approx(2 / 3, abs=0.08)


def test_what_ranks_is_the_mean_of_the_weights_so_far():
    learner = SasrecLearner(catalogue_of(6), replace(SMALL, averaging=0.999))
    learner.snapshot()
    biases = []
    for start in range(4):
        learner.learn(cycle(start, 3, items=6))
        biases.append(learner.network.bias.detach().clone())
    torch.testing.assert_close(learner.snapshot().network.bias.data, torch.stack(biases).mean(0))


def test_shown_items_are_ordered_as_in_the_catalogue():
    learner = SasrecLearner(catalogue_of(8), SMALL)
    shown = example([1], 5, 2, "unknown", 7, kind=ExampleKind.IMPRESSION, accepted=(1,))
    for _ in range(20):
        learner.learn([shown])
    (shares,) = learner.snapshot().score([shown])
    whole = scores(learner, [1])[0]
    assert shares.argmax() == 1
    assert shares.sum() == pytest.approx(1)
    assert np.isfinite(shares).all()
    assert (np.argsort(shares[[0, 1, 3]]) == np.argsort(whole[[5, 2, 7]])).all()
    assert shares[2] <= shares.min()


def test_newer_events_are_replayed_more_often():
    settings = replace(SMALL, replayed=4_000, recency=3.0)
    memory = [Accepted([BEGIN, FIRST_ITEM + number], []) for number in range(1_000)]
    fresh = [Accepted([BEGIN, FIRST_ITEM], [])]
    (batch,) = fresh_and_replayed(fresh, memory, settings, np.random.default_rng(0))
    assert batch[0] is fresh[0]
    numbers = np.array([accepted.tokens[-1] - FIRST_ITEM for accepted in batch[1:]])
    newest_tenth = (numbers >= 900).mean()
    assert newest_tenth == pytest.approx(0.1 ** (1 / 3), abs=0.03)
    assert numbers.min() < 100


def test_several_steps_need_something_to_replay():
    learner = SasrecLearner(catalogue_of(12), replace(SMALL, steps=3))
    assert learner.learn(cycle(0, 3)).steps == 1
    assert learner.learn(cycle(4, 3)).steps == 3


def test_views_and_unknown_items_teach_nothing():
    learner = SasrecLearner(catalogue_of(4), SMALL)
    before = scores(learner, [0])
    view = example([0], 1, kind=ExampleKind.VIEW)
    assert learner.learn([]).steps == 0
    assert learner.learn([view, example([0], "unknown"), example([0], 1, accepted=())]).steps == 0
    np.testing.assert_array_equal(scores(learner, [0]), before)


def _adam(learner):
    return learner.optimiser.state.items()
