"""The weights of replies in training."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from streamrec.errors import GenerationRefused
from streamrec.models.causal import CausalModel
from streamrec.models.lora import state_digest
from streamrec.tasks.replies.model.learner import RepliesConfig, RepliesLearner
from tests.fakes.causal_models import stirred, tiny_writer
from tests.unit.tasks.replies.answers import answers, chances

CONFIG = RepliesConfig(rate=5e-3, warm_steps=1, batch=8, replays=1, most_nats=99.0, chunk=4)


HOT = replace(CONFIG, rate=2e-2, replays=0, price=0.0)


def asks(said: str) -> float:
    return float(said.endswith("?"))


@pytest.fixture(scope="module")
def start() -> CausalModel:
    fresh = tiny_writer()
    return fresh.with_adapter(stirred(fresh, size=0.05))


def learner(start: CausalModel, config: RepliesConfig = CONFIG) -> RepliesLearner:
    return RepliesLearner(start.with_adapter(), config, seed=3)


def digest(found: RepliesLearner) -> str:
    return state_digest(found.model.adapter_state())


def test_what_is_accepted_becomes_likelier_than_what_is_not(start) -> None:
    given = answers(start, asks, 32)
    found = learner(start)
    report = found.learn(given)
    assert (report.examples, report.steps, report.encoder_steps) == (32, 8, 8)
    before, after = chances(start, given[:4]), chances(found.model, given[:4])
    change = [now - then for then, now in zip(before, after, strict=True)]
    assert change[1] > max(change[0], change[2], change[3]) + 0.5


def test_divergence_is_held_by_its_price(start) -> None:
    given = answers(start, asks, 24)
    far = [
        learner(start, replace(CONFIG, price=price)).learn(given).losses["kl_nats"]
        for price in (0.0, 5.0)
    ]
    assert far[1] < far[0] / 2


def test_beyond_so_many_nats_the_way_is_shortened(start) -> None:
    found = learner(start, replace(HOT, rate=1e-12, most_nats=0.05))
    begun, far = start.adapter_state(), stirred(start, 7, size=0.05)
    found.begin_from(far, begun)
    given = answers(start, asks, 8)
    kl = found.learn(given).losses["kl_nats"]
    kept = (0.05 / kl) ** 0.5
    assert kept < 0.9
    for name, now in found.model.adapter_state().items():
        torch.testing.assert_close(now, begun[name] + kept * (far[name] - begun[name]))
    assert found.learn(given).losses["kl_nats"] < kl


def test_the_first_steps_are_small(start) -> None:
    given, begun = answers(start, asks, 8), start.adapter_state()
    moved = []
    for warm_steps in (1, 10):
        found = learner(start, replace(HOT, warm_steps=warm_steps))
        found.learn(given)
        now = found.model.adapter_state()
        moved.append(max(float((now[name] - begun[name]).abs().max()) for name in now))
    assert moved[1] == pytest.approx(moved[0] / 10, rel=0.1)


def test_the_start_stays_where_it_was(start) -> None:
    found = learner(start)
    found.learn(answers(start, asks, 16))
    assert state_digest(found.start.adapter_state()) == state_digest(start.adapter_state())
    assert digest(found) != state_digest(start.adapter_state())


def test_a_resumed_learner_goes_on_to_the_same_bits(start, tmp_path) -> None:
    given = answers(start, asks, 20)
    whole, first, second = learner(start), learner(start), learner(start)
    whole.learn(given)
    first.learn(given[:12])  # four of a round are waiting
    first.save(tmp_path)
    assert second.load(tmp_path) == []
    second.learn(given[12:])
    assert digest(second) == digest(whole)
    assert second.bandit.state()["products"].tobytes() == whole.bandit.state()["products"].tobytes()


def test_a_damaged_save_is_refused(start, tmp_path) -> None:
    found = learner(start)
    found.save(tmp_path)
    (tmp_path / "learner.json").write_text("{}")
    with pytest.raises(GenerationRefused, match="resumed"):
        learner(start).load(tmp_path)


def test_nobody_forgotten_is_replayed(start) -> None:
    found = learner(start)
    found.learn([*answers(start, asks, 10, "ana"), *answers(start, asks, 3, "ben")])
    assert found.forget("ana") == 10
    assert found.forget("ana") == 0
    assert found.forget("ben") == 3


def test_a_template_teaches_plans_alone(start) -> None:
    plain = [
        replace(e, generation="", prompt_ids=(), token_ids=(), log_probability=0.0)
        for e in answers(start, asks, 16)
    ]
    found = learner(start)
    report = found.learn(plain)
    assert (report.steps, found.bandit.answers) == (0, 16)
    assert found.snapshot().score(plain)[0].kl is None


def test_a_snapshot_does_not_move_and_says_how_likely_things_are(start) -> None:
    given = answers(start, asks, 16)
    found = learner(start)
    frozen = found.snapshot()
    before = frozen.score(given)
    found.learn(given)
    after = frozen.score(given)
    assert before == after
    assert [one.log_probability for one in before] == pytest.approx(
        [e.log_probability for e in given], abs=1e-3
    )
    assert max(one.kl or 0.0 for one in before) < 1e-6
    assert min(one.kl or 0.0 for one in found.snapshot().score(given)) > 0
    assert all(0 < one.chance <= 1 for one in before)
