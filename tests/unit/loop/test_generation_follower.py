from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from streamrec.core.release import transitions
from streamrec.core.release.canary import Canary
from streamrec.core.release.registry import Action, ControlRecord, Pin, RegistryState
from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import GenerationRefused
from streamrec.loop.releasing.attested import AttestedStore
from streamrec.loop.serving.generation_follower import GenerationFollower
from tests.fakes.registry import FakeRegistryStore
from tests.fakes.serving import FakeHotSwap

PIN = Pin("ana", "x", 1)
WHOLE = hashlib.sha256(b"{}").hexdigest()
"""Of the manifest of every generation here."""


class Worker:
    """An ``GenerationFollower`` that hears what a registry decides."""

    def __init__(self, tmp_path: Path, keep: int = 2) -> None:
        self.store = FakeRegistryStore(tmp_path / "registry")
        self.finished = tmp_path / "finished"
        self.finished.mkdir()
        (self.finished / "manifest.json").write_text("{}")
        for n in range(1, 8):
            self.store.put(f"g{n}", self.finished)
        self.swap = FakeHotSwap(Catalogue())
        self.attested = AttestedStore(self.store)
        self.follower = GenerationFollower(self.attested, self.swap, self.swap.catalogue, keep=keep)
        self.changes = 0
        self.follower.on_change(self._count)
        self.state = RegistryState()

    def _count(self) -> None:
        self.changes += 1

    def follow(self, action: Action, state: RegistryState, generation: str | None) -> None:
        self.state = state
        record = ControlRecord(action, "ana", "x", 1, state, generation, WHOLE)
        self.attested.note(record)
        self.follower.follow(record)

    def release(self, *generations: str) -> None:
        """Stage, load, activate, flip: a whole release of each."""
        for generation in generations:
            self.follow(Action.STAGE, transitions.stage(self.state, generation), generation)
            self.follower.prepare()
            self.follow(Action.ACTIVATE, transitions.promote(self.state, generation), generation)
            self.follower.flip()
            self.follower.prepare()

    @property
    def active(self) -> str | None:
        return self.swap.active.generation if self.swap.active else None


@pytest.fixture
def worker(tmp_path) -> Worker:
    return Worker(tmp_path)


def test_a_staged_generation_is_loaded_and_does_not_answer_yet(worker) -> None:
    worker.release("g1")
    worker.follow(Action.STAGE, transitions.stage(worker.state, "g2"), "g2")
    assert worker.follower.report()["staged"] is None
    worker.follower.prepare()
    assert not worker.follower.flip()
    report = worker.follower.report()
    assert (report["active"], report["staged"], report["revision"]) == ("g1", "g2", 3)


def test_activation_flips_once_and_says_so(worker) -> None:
    worker.release("g1")
    worker.follow(Action.STAGE, transitions.stage(worker.state, "g2"), "g2")
    worker.follower.prepare()
    worker.follow(Action.ACTIVATE, transitions.promote(worker.state, "g2"), "g2")
    assert worker.follower.report()["revision"] == 3  # read, but not observed before the flip
    before = worker.changes
    assert worker.follower.flip()
    assert not worker.follower.flip()
    assert worker.changes == before + 1
    assert worker.follower.report() == {
        "active": "g2",
        "staged": None,
        "canary": None,
        "refused": {},
        "revision": 4,
    }


def test_a_rollback_needs_no_loading(worker) -> None:
    worker.release("g1", "g2", "g3")
    loads = list(worker.swap.staged)
    worker.follow(Action.ROLLBACK, transitions.rollback(worker.state, PIN), "g2")
    assert worker.follower.flip()
    assert worker.active == "g2"
    worker.follower.prepare()
    worker.follow(Action.ACTIVATE, transitions.activate(worker.state, "g3"), "g3")
    assert worker.follower.flip()  # and neither does going forward again
    assert worker.active == "g3"
    assert worker.swap.staged == loads


def test_a_late_starter_loads_the_champion_first_then_what_it_may_go_back_to(worker) -> None:
    state = RegistryState(9, "g4", ("g1", "g2", "g3"), staged="g5")
    worker.follow(Action.STAGE, state, "g5")
    worker.follower.prepare()
    assert worker.swap.staged == ["g4", "g5", "g3", "g2"]
    worker.follower.flip()
    assert worker.follower.report()["active"] == "g4"
    assert worker.follower.report()["revision"] == 9


def test_no_more_generations_are_kept_than_wanted(tmp_path) -> None:
    worker = Worker(tmp_path, keep=1)
    worker.release("g1", "g2", "g3", "g4")
    assert set(worker.swap.warm) == {"g3", "g4"}


def test_a_refused_generation_keeps_the_champion_and_names_the_reason(worker) -> None:
    worker.swap.refuses["g2"] = "wrong base model"
    worker.release("g1", "g2")
    report = worker.follower.report()
    assert report["active"] == "g1"
    assert report["refused"] == {"g2": "wrong base model"}
    assert report["revision"] == worker.state.revision  # as far as it will ever come


def test_a_generation_nobody_has_keeps_the_champion(worker) -> None:
    worker.release("g1")
    worker.follow(Action.STAGE, transitions.stage(worker.state, "g99"), "g99")
    worker.follower.prepare()
    assert worker.active == "g1"
    assert "not in the registry" in worker.follower.report()["refused"]["g99"]


def change(worker: Worker, generation: str) -> None:
    """Behind the control log's back."""
    (worker.store.get(generation) / "manifest.json").write_text('{"files": {}}')


def test_a_changed_generation_is_never_staged_and_the_fleet_hears_why(worker) -> None:
    worker.release("g1")
    change(worker, "g2")
    worker.release("g2")
    report = worker.follower.report()
    assert (report["active"], report["staged"]) == ("g1", None)
    assert "g2 was changed in the registry behind the control log" in report["refused"]["g2"]
    assert worker.swap.staged == ["g1"]


def test_a_change_of_what_is_loaded_already_does_not_reach_the_answers(worker) -> None:
    worker.release("g1", "g2")
    change(worker, "g1")
    worker.follow(Action.ROLLBACK, transitions.rollback(worker.state, PIN), "g1")
    assert worker.follower.flip()  # in memory is what was released
    assert worker.active == "g1"
    assert worker.swap.staged == ["g1", "g2"]


def test_a_rollback_to_what_was_changed_and_is_not_warm_any_more_is_refused(tmp_path) -> None:
    worker = Worker(tmp_path, keep=1)
    worker.release("g1", "g2", "g3", "g4")
    change(worker, "g1")
    worker.follow(Action.ROLLBACK, transitions.rollback(worker.state, PIN, "g1"), "g1")
    worker.follower.prepare()
    assert not worker.follower.flip()
    report = worker.follower.report()
    assert report["active"] == "g4"
    assert "behind the control log" in report["refused"]["g1"]
    assert report["revision"] == worker.state.revision  # as far as it will ever come


def test_a_changed_canary_answers_nobody(worker) -> None:
    worker.release("g1")
    change(worker, "g2")
    canary_of(worker, "g2")
    worker.follower.prepare()
    assert worker.follower.canary is None
    assert "g2" in worker.follower.report()["refused"]


def test_what_is_restored_is_taken_when_it_is_named_again(worker) -> None:
    worker.release("g1")
    change(worker, "g2")
    worker.release("g2")
    (worker.store.get("g2") / "manifest.json").write_text("{}")
    worker.follow(Action.PIN, transitions.pin(worker.state, PIN), "g2")
    worker.follower.prepare()
    assert worker.follower.flip()
    assert worker.active == "g2"


def test_a_generation_named_again_is_tried_again(worker) -> None:
    worker.swap.refuses["g2"] = "half-written"
    worker.release("g1")
    worker.follow(Action.STAGE, transitions.stage(worker.state, "g2"), "g2")
    worker.follower.prepare()
    worker.follower.prepare()
    del worker.swap.refuses["g2"]
    worker.follower.prepare()
    assert worker.follower.report()["refused"]  # not by itself
    worker.follow(Action.STAGE, transitions.stage(worker.state, "g2"), "g2")
    worker.follower.prepare()
    assert worker.follower.report()["staged"] == "g2"
    assert worker.follower.report()["refused"] == {}


def test_a_refusal_is_forgotten_when_nobody_wants_the_generation_any_more(worker) -> None:
    worker.swap.refuses["g2"] = "wrong base model"
    worker.release("g1")
    worker.follow(Action.STAGE, transitions.stage(worker.state, "g2"), "g2")
    worker.follower.prepare()
    worker.follow(Action.REJECT, transitions.reject(worker.state, "g2"), "g3")
    worker.follower.prepare()
    assert worker.follower.report()["refused"] == {}


def test_a_pin_changes_nothing_but_the_revision(worker) -> None:
    worker.release("g1")
    worker.follow(Action.PIN, transitions.pin(worker.state, PIN), "g1")
    assert not worker.follower.flip()
    assert worker.follower.report()["revision"] == 3


def test_items_that_cannot_be_encoded_do_not_end_the_worker(worker, caplog) -> None:
    def broken(_: Catalogue) -> int:
        raise GenerationRefused("values that are not finite")

    worker.release("g1")
    worker.swap.ensure = broken
    worker.follower.prepare()
    worker.follower.prepare()
    assert caplog.text.count("not finite") == 1
    worker.release("g2")
    assert worker.active == "g2"


def canary_of(worker: Worker, generation: str) -> None:
    worker.follow(Action.STAGE, transitions.stage(worker.state, generation), generation)
    worker.follower.prepare()
    rule = Canary(generation, 0.25, generation, 1)
    worker.follow(Action.CANARY, transitions.try_out(worker.state, rule), generation)
    worker.follower.flip()


def test_a_canary_answers_beside_the_champion_and_is_kept_warm(worker) -> None:
    worker.release("g1")
    canary_of(worker, "g2")
    worker.follower.prepare()
    assert worker.active == "g1"
    assert worker.follower.canary.model is worker.swap.warm["g2"]
    report = worker.follower.report()
    assert (report["active"], report["canary"], report["revision"]) == ("g1", "g2", 4)


def test_an_abandoned_canary_answers_nobody_and_is_forgotten(worker) -> None:
    worker.release("g1")
    canary_of(worker, "g2")
    worker.follow(Action.ABANDON, transitions.abandon(worker.state, "g2"), "g2")
    assert not worker.follower.flip()
    worker.follower.prepare()
    assert worker.follower.canary is None
    assert not worker.swap.is_warm("g2")
    assert worker.follower.report()["revision"] == 5


def test_a_promoted_canary_becomes_champion_in_one_flip(worker) -> None:
    worker.release("g1")
    canary_of(worker, "g2")
    worker.follow(Action.ACTIVATE, transitions.promote(worker.state, "g2"), "g2")
    assert worker.follower.flip()
    assert (worker.active, worker.follower.canary) == ("g2", None)


def test_a_worker_that_cannot_load_the_canary_obeys_without_it(worker) -> None:
    worker.release("g1")
    worker.swap.refuses["g2"] = "too large"
    canary_of(worker, "g2")
    worker.follower.prepare()
    report = worker.follower.report()
    assert (report["canary"], report["revision"]) == (None, 4)
    assert report["refused"] == {"g2": "too large"}


def test_a_canary_waits_for_its_own_champion(worker) -> None:
    """A worker still on the champion before must not try the canary against that one."""
    worker.release("g1")
    worker.swap.refuses["g3"] = "too large"
    worker.follow(Action.ACTIVATE, transitions.activate(worker.state, "g3"), "g3")
    canary_of(worker, "g2")
    assert worker.swap.is_warm("g2")
    assert (worker.active, worker.follower.canary) == ("g1", None)
