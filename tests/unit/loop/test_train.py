"""The trainer over fakes: schedule, gate, pins, operators, refusals, outages."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from streamrec.core.examples import TrainingBatch
from streamrec.core.release import transitions
from streamrec.core.release.canary import Canary
from streamrec.core.release.registry import Action, ControlRecord
from streamrec.errors import GenerationRefused, LeaseLost, Malformed, Unavailable, UserError
from streamrec.loop.training.candidates import provenance
from streamrec.loop.training.train import Trainer
from streamrec.ports import ShadowResult, Spans
from tests.fakes.tracing import FakeTracer
from tests.harness.training import SET, StepExecutor, World, batches, drain, example


@pytest.fixture
def tmp_path(worlds: Path) -> Path:
    return worlds


def started(world: World, executor: StepExecutor | None = None) -> Trainer:
    trainer, _ = world.trainer(executor)
    trainer.start()
    trainer.round(0)
    return trainer


def test_the_untrained_generation_is_the_first_champion(tmp_path: Path) -> None:
    world = World(tmp_path)
    trainer = started(world)
    assert world.actions == ["stage", "activate"]
    assert world.champion is not None
    assert world.champion.startswith("g000000-")
    manifest = world.manifest(world.champion)
    assert manifest["parent"] is None
    assert manifest["offsets"] == {}
    assert trainer.progress.parent == world.champion


def test_a_better_candidate_is_released_with_its_numbers(tmp_path: Path) -> None:
    world = World(tmp_path, skill_of=lambda n: 0.9 if n else 0.6)
    trainer = started(world)
    first = world.champion
    world.feed.log += batches(5)
    drain(trainer, world)
    assert trainer.stage.startswith("candidate 1 on trial")
    assert world.champion == first  # nobody has judged it yet
    world.feed.log += batches(2, start=50)
    drain(trainer, world)
    champion = world.champion
    assert champion is not None
    assert champion.startswith("g000001-")
    assert world.actions == ["stage", "activate", "stage", "activate"]
    manifest = world.manifest(champion)
    assert manifest["parent"] == first
    assert manifest["offsets"] == {"0": [0, 50]}  # not the twenty that judged it
    assert manifest["training_batches"] == [0, 5]
    assert manifest["examples"] == 50
    assert manifest["gate"]["accepted"] is True
    assert manifest["gate"]["champion"] == first
    assert manifest["gate"]["examples"] == 20
    assert manifest["gate"]["norms"]["update_norm/head"] == 0.1
    assert (trainer.counts.candidates, trainer.counts.activated) == (1, 2)
    assert not list((tmp_path / "work").glob("*/*"))


def test_the_next_generation_owes_exactly_what_came_since(tmp_path: Path) -> None:
    world = World(tmp_path)
    trainer = started(world)
    world.feed.log += batches(30)
    world.feed.log += batches(10, partition=1)
    drain(trainer, world)
    names = [name for name in world.store.generations() if not name.startswith("g000000")]
    spans: dict[str, list[list[int]]] = {"0": [], "1": []}
    parent = next(name for name in world.store.generations() if name.startswith("g000000"))
    last_batch = 0
    assert len(names) >= 4
    for name in names:
        manifest = world.manifest(name)
        assert manifest["parent"] == parent
        assert manifest["training_batches"][0] == last_batch
        parent, last_batch = name, manifest["training_batches"][1]
        for partition, span in manifest["offsets"].items():
            spans[partition].append(span)
    for steps in spans.values():
        begins = [begin for begin, _ in steps]
        assert begins == [0, *(end for _, end in steps[:-1])]  # tiled: nothing twice, no hole
    assert world.manifest(names[-1])["offsets"].keys() >= {"0"}


def test_fresh_examples_are_scored_before_they_are_learned(tmp_path: Path) -> None:
    world = World(tmp_path)
    trainer = started(world)
    world.feed.log += batches(7)
    drain(trainer, world)
    scorer = trainer.champions.scorer(world.champion)
    assert len(scorer.learned) == 50
    assert scorer.scored[:20] == [(0, o, 0) for o in range(50, 70)]


def test_a_worse_candidate_is_filed_with_the_reasons(tmp_path: Path) -> None:
    world = World(tmp_path, skill_of=lambda n: 0.2 if n else 0.8)
    trainer = started(world)
    first = world.champion
    world.feed.log += batches(7)
    drain(trainer, world)
    assert world.champion == first
    assert world.actions == ["stage", "activate", "reject"]
    rejected = world.control.entries[-1]
    assert rejected.generation is not None
    assert "mrr" in rejected.reason
    manifest = world.manifest(rejected.generation)
    assert manifest["gate"]["accepted"] is False
    assert any("log_loss" in reason for reason in manifest["gate"]["reasons"])
    assert trainer.counts.rejected == 1
    assert trainer.progress.parent == first
    world.feed.log += batches(5, start=70)  # what it learned is owed by the next one too
    drain(trainer, world)
    later = [n for n in world.store.generations() if n.startswith("g000002")]
    assert world.manifest(later[0])["offsets"] == {"0": [0, 100]}


def test_exploding_weights_are_rejected_whatever_they_score(tmp_path: Path) -> None:
    world = World(tmp_path, skill_of=lambda n: 0.9 if n else 0.6)
    world.generations.update_norm = 1e6
    trainer = started(world)
    world.feed.log += batches(7)
    drain(trainer, world)
    assert world.control.entries[-1].action is Action.REJECT
    assert "update_norm/head" in world.control.entries[-1].reason
    assert trainer.counts.activated == 1


def test_time_makes_a_candidate_and_ends_a_trial(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.schedule = replace(world.schedule, release_s=15.0, gate_s=10.0)
    trainer = started(world)
    world.pass_s(20)
    trainer.round(0)
    assert trainer.stage == "learning"  # nothing learned: nothing to release
    world.feed.log += batches(1)
    drain(trainer, world)
    assert trainer.stage.startswith("candidate 1 on trial")
    world.feed.log += batches(1, size=1, start=10)
    drain(trainer, world)
    world.pass_s(11)
    drain(trainer, world)
    assert trainer.stage == "candidate 1 on trial, 1 examples"  # a tenth of 20 is 2
    world.feed.log += batches(1, size=1, start=11)
    drain(trainer, world)
    assert world.actions[-1] == "activate"
    assert str(world.champion).startswith("g000001")


def test_training_goes_on_while_a_release_waits(tmp_path: Path) -> None:
    world, executor = World(tmp_path), StepExecutor(at_once=False)
    trainer, learner = world.trainer(executor)
    trainer.start()
    world.feed.log += batches(12)
    drain(trainer, world)
    assert len(learner.learned) == 120
    assert trainer.stage == "releasing"  # the first champion; no trial without one
    executor.step()
    drain(trainer, world)
    assert trainer.stage.startswith("candidate 1")
    world.feed.log += batches(2, start=120)
    drain(trainer, world)
    assert trainer.stage == "releasing"
    world.feed.log += batches(6, start=140)
    drain(trainer, world)
    assert len(learner.learned) == 200
    executor.step()
    drain(trainer, world)
    assert trainer.counts.activated == 2
    assert trainer.progress.ledger.since_parent() == {0: (120, 200)}


def test_pinned_learns_and_judges_but_does_not_activate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = World(tmp_path)
    trainer = started(world)
    first = world.champion
    world.service().pin("the weekend")
    world.feed.log += batches(7)
    drain(trainer, world)
    assert world.champion == first
    assert trainer.counts.held == 1
    assert trainer.counts.activated == 1
    assert trainer.counts.examples == 70
    assert any("pinned by operator (the weekend)" in line for line in caplog.messages)
    assert any("not activated" in line for line in caplog.messages)
    assert len(world.store.generations()) == 2  # it can be activated by hand
    world.service().unpin()
    world.feed.log += batches(8, start=70)
    drain(trainer, world)
    assert str(world.champion).startswith("g000002")


def test_an_operators_champion_is_the_one_to_beat(tmp_path: Path) -> None:
    world = World(tmp_path, skill_of=lambda n: 0.9 if n == 50 else 0.8 if n > 50 else 0.6)
    trainer = started(world)
    first = world.champion
    world.feed.log += batches(7)
    drain(trainer, world)
    assert str(world.champion).startswith("g000001")
    world.service().rollback("it feels wrong", to=first)
    world.service().unpin()
    world.feed.log += batches(4, start=70)
    drain(trainer, world)
    assert "candidate 2 on trial" in trainer.stage
    world.feed.log += batches(3, start=110)
    drain(trainer, world)
    assert str(world.champion).startswith("g000002")  # 0.8 beats 0.6, not 0.9
    assert world.manifest(str(world.champion))["gate"]["champion"] == first


def test_a_trial_starts_again_when_the_champion_changes(tmp_path: Path) -> None:
    world = World(tmp_path)
    trainer = started(world)
    first = world.champion
    world.feed.log += batches(11)  # candidate 1 passes after 70, candidate 2 is made after 100
    drain(trainer, world)
    assert trainer.stage == "candidate 2 on trial, 10 examples"
    world.service().rollback("no", to=first)
    trainer.round(0)
    assert trainer.stage == "candidate 2 on trial, 0 examples"


def test_a_champion_that_cannot_be_loaded_does_not_stop_learning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    started(world)
    world.generations.unloadable.add(str(world.champion))
    again = started(world)
    assert any("cannot be loaded" in line for line in caplog.messages)
    world.feed.log += batches(7)
    drain(again, world)
    assert str(world.champion).startswith("g000001")


def test_workers_that_all_refuse_leave_the_champion(tmp_path: Path) -> None:
    from streamrec.ports import WorkerStatus

    world = World(tmp_path)
    trainer = started(world)
    first = world.champion
    world.feed.log += batches(5)
    drain(trainer, world)
    candidate = trainer.candidates.on_trial
    assert candidate is not None
    weights = tmp_path / "probe"
    weights.mkdir()
    trainer.learner.write_generation(candidate.scorer, weights)
    name = world.generations.seal(weights, provenance(candidate, trainer.progress, {})).generation
    world.fleet.beat(WorkerStatus("s1", "serving", "h", 1, 0, 0, refused={name: "no room"}))
    world.feed.log += batches(2, start=50)
    drain(trainer, world)
    assert world.champion == first
    assert world.control.entries[-1].action is Action.REJECT
    assert trainer.progress.parent == first


def test_another_feature_set_and_garbage_are_refused_and_named(tmp_path: Path) -> None:
    world = World(tmp_path)
    trainer = started(world)
    one, two, three = batches(3)
    world.feed.log += [one, replace(two, feature_set="features-0"), Malformed("not Avro"), three]
    drain(trainer, world)
    assert [offset for offset, _ in world.dead_letters] == [1, 2]
    assert "features-0" in world.dead_letters[0][1]
    mark = trainer.progress.ledger.partitions[0]
    assert mark.trained == 20
    assert mark.holes == ((10, 20),)
    assert trainer.counts.refused_batches == 2


def test_a_batch_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    trainer = started(world)
    world.feed.log.append(TrainingBatch(0, 0, 5, SET, [example(0, 3), example(0, 2)]))
    drain(trainer, world)
    assert "out of order" in world.dead_letters[0][1]


def test_batches_sent_again_are_dropped(tmp_path: Path) -> None:
    world = World(tmp_path)
    trainer, learner = world.trainer()
    trainer.start()
    world.feed.log += [*batches(3), *batches(2), *batches(1, size=40)]
    drain(trainer, world)
    assert learner.learned == [(0, o, 0) for o in range(40)]
    assert trainer.counts.seen_again == 50


def test_lost_batches_are_said_and_recorded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    trainer = started(world)
    world.feed.log += [*batches(1), *batches(1, start=30)]
    drain(trainer, world)
    assert any("10 to 29 of partition 0" in line for line in caplog.messages)
    assert trainer.counts.lost_offsets == 20


def test_a_feed_made_anew_stops_aloud(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.feed.log += batches(3)
    trainer = started(world)
    drain(trainer, world)
    trainer.checkpoint()
    world.feed.log.clear()
    with pytest.raises(UserError, match="made anew"):
        world.trainer()[0].start()


def test_a_loss_that_is_no_number_goes_back_and_never_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    world.feed.log += batches(2)
    trainer, learner = world.trainer()
    trainer.start()
    drain(trainer, world)
    trainer.checkpoint()
    learner.poison = {(0, 33, 0)}
    world.feed.log += batches(4, start=20)
    drain(trainer, world)
    assert not learner.ruined
    kept = [*range(20), *range(40, 60)]  # 20 to 29 were learned since the checkpoint
    assert learner.learned == [(0, o, 0) for o in kept]
    mark = trainer.progress.ledger.partitions[0]
    assert mark.trained == 40
    assert mark.holes == ((20, 40),)
    assert any("not a number" in line for line in caplog.messages)
    again, relearner = world.trainer()
    again.start()
    drain(again, world)
    assert relearner.learned[:20] == [(0, o, 0) for o in range(20)]
    assert (0, 33, 0) not in relearner.learned


def test_what_never_came_and_what_was_given_up_is_lost_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    trainer, learner = world.trainer()
    trainer.start()
    learner.poison = {(0, 33, 0)}
    world.feed.log += batches(1) + batches(1, start=30)
    drain(trainer, world)
    ledger = trainer.progress.ledger
    assert ledger.partitions[0].holes == ((0, 40),)
    assert trainer.counts.lost_offsets == ledger.lost == 40


def test_an_outage_of_kafka_is_waited_for(tmp_path: Path) -> None:
    world = World(tmp_path)
    trainer, learner = world.trainer()
    trainer.start()
    world.feed.log += batches(2)
    world.feed.down = True
    with pytest.raises(Unavailable):
        trainer.round(0)
    world.feed.down = False
    drain(trainer, world)
    assert len(learner.learned) == 20


def test_an_outage_between_two_batches_loses_neither(tmp_path: Path) -> None:
    world = World(tmp_path)
    down = [True]

    def refuse(delivered: object, reason: object) -> None:
        if down.pop() if down else False:
            raise Unavailable("no dead letters now")
        world.dead_letters.append((1, "x"))

    world.refuse = refuse
    trainer, learner = world.trainer()
    trainer.start()
    world.feed.log += [*batches(1), Malformed("x"), *batches(1, start=10)]
    with pytest.raises(Unavailable):
        trainer.round(0)
    assert len(learner.learned) == 10
    drain(trainer, world)
    assert learner.learned == [(0, o, 0) for o in range(20)]
    assert len(world.dead_letters) == 1


def test_without_the_lease_nothing_is_learned(tmp_path: Path) -> None:
    def lost() -> None:
        raise LeaseLost("another trainer")

    world = World(tmp_path)
    trainer, learner = world.trainer(may_train=lost)
    trainer.start()
    world.feed.log += batches(2)
    with pytest.raises(LeaseLost):
        trainer.round(0)
    assert learner.learned == []


def test_sequence_numbers_are_not_used_again_after_a_crash(tmp_path: Path) -> None:
    world = World(tmp_path)
    trainer = started(world)
    world.feed.log += batches(7)
    drain(trainer, world)  # g000001 is out ...
    for path in (tmp_path / "checkpoints").iterdir():  # ... and the checkpoint that knows is lost
        for file in path.rglob("*.json"):
            file.write_text("")
    again, _ = world.trainer()
    again.start()
    assert again.progress.sequence == 2


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.checkpoints.save({"format": 99}, world.trainer()[1].save)
    with pytest.raises(GenerationRefused, match="format"):
        world.trainer()[0].start()


def test_curves_hold_losses_and_gate_differences(tmp_path: Path) -> None:
    world = World(tmp_path)
    trainer = started(world)
    world.feed.log += batches(7)
    drain(trainer, world)
    names = {name for _, values in world.tracker.points for name in values}
    assert names >= {"loss/rank", "gate/mrr", "gate/log_loss"}
    steps = [step for step, values in world.tracker.points if "loss/rank" in values]
    assert steps == [10, 20, 30, 40, 50, 60, 70]
    (first, begun), (second, trained) = world.tracker.generations
    assert (begun, trained) == (0, 70)
    assert world.champion == second
    assert world.tracker.outcomes == [(first, "activated"), (second, "activated")]


def test_a_canary_that_a_killed_trainer_left_out_is_withdrawn_at_the_start(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.trainer()[0].start()
    champion, control = world.champion, world.control.reader()
    state = transitions.stage(control.latest().state, "g9")
    out = transitions.try_out(state, Canary("g9", 0.2, "g9", 0))
    for action, after in ((Action.STAGE, state), (Action.CANARY, out)):
        control.append(ControlRecord(action, "trainer", "", 0, after, "g9"))
    world.trainer()[0].start()
    last = world.control.reader().latest()
    assert (last.action, last.generation) == (Action.ABANDON, "g9")
    assert (last.state.champion, last.state.canary) == (champion, None)


def test_encoder_versions_that_were_tried_are_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    trainer, learner = world.trainer()
    trainer.start()
    tried = ShadowResult("aa", 0.02, 0.004, True), ShadowResult("bb", -0.01, 0.004, False)
    for number, shadow_results in enumerate(tried):
        learner.shadow_results = (shadow_results,)
        world.feed.log += batches(1, start=10 * number)
        with caplog.at_level(logging.INFO):
            drain(trainer, world)
    assert (trainer.counts.encoders_tried, trainer.counts.encoders_taken) == (2, 1)
    assert "encoder version aa taken" in caplog.text
    assert "encoder version bb not taken: -0.0100 nats" in caplog.text
    points = [(at, v["encoder/gain"]) for at, v in world.tracker.points if "encoder/gain" in v]
    assert points == [(10, 0.02), (20, -0.01)]


def test_a_candidate_has_a_trace_of_what_it_learned_its_gate_and_its_release(
    tmp_path: Path,
) -> None:
    tracer = FakeTracer()
    world = World(tmp_path, tracer=tracer)
    trainer = started(world)
    cut = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    world.feed.traceparent = cut
    world.feed.log += batches(7)
    drain(trainer, world)
    candidate, following = tracer.named(Spans.CANDIDATE)
    inner = [span for span in tracer.spans if span.parent == candidate.traceparent]
    assert [span.name for span in inner] == [*[Spans.LEARN] * 5, "gate", "stage", "activate"]
    assert all(span.links == [cut] for span in inner[:5])
    assert all(span.ended == 1 and not span.failed for span in [candidate, *inner])
    assert candidate.attributes["outcome"] == "activated"
    named = candidate.attributes["generation"], inner[-1].attributes["generation"]
    assert named == (world.champion, world.champion)
    assert len([span for span in tracer.spans if span.parent == following.traceparent]) == 2
    assert not following.ended


def test_the_trace_of_what_is_void_ends(tmp_path: Path) -> None:
    tracer = FakeTracer()
    world = World(tmp_path, tracer=tracer)
    trainer = started(world)
    world.feed.log += batches(6)
    drain(trainer, world)
    trainer.candidates.drop()
    drop = [span for span in tracer.spans if span.failed]
    assert [span.name for span in drop] == [Spans.CANDIDATE, Spans.GATE, Spans.CANDIDATE]
    assert all(span.ended == 1 for span in drop)
