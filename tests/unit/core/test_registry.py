from dataclasses import replace

import pytest

from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release import registry, transitions
from streamrec.core.release.canary import Canary
from streamrec.core.release.registry import Action, ControlRecord, Pin, RegistryState
from streamrec.core.release.transitions import HISTORY
from streamrec.errors import UserError

PIN = Pin("ana", "clicks fell", 5)


def after(*generations: str) -> RegistryState:
    state = RegistryState()
    for generation in generations:
        state = transitions.activate(state, generation)
    return state


def record(state: RegistryState, action: Action = Action.ACTIVATE) -> ControlRecord:
    return ControlRecord(action, "ana", "because", 1, state, state.champion)


def test_a_release_goes_from_staged_to_champion() -> None:
    staged = transitions.stage(after("g1"), "g2")
    assert (staged.champion, staged.staged) == ("g1", "g2")
    assert transitions.promote(staged, "g2") == RegistryState(3, "g2", ("g1",))


def test_every_transition_is_one_revision() -> None:
    state = transitions.stage(after("g1", "g2"), "g3")
    for following in (
        transitions.stage(state, "g4"),
        transitions.promote(state, "g3"),
        transitions.activate(state, "g1"),
        transitions.reject(state, "g3"),
        transitions.rollback(state, PIN),
        transitions.pin(state, PIN),
        transitions.unpin(replace(state, pin=PIN)),
        transitions.hold(replace(state, pin=PIN), "g3"),
        registry.repair(state),
    ):
        assert following.revision == state.revision + 1


def test_rollbacks_go_further_back_each_time() -> None:
    once = transitions.rollback(after("g1", "g2", "g3"), PIN)
    twice = transitions.rollback(once, PIN)
    assert (once.champion, once.history, once.pin) == ("g2", ("g1",), PIN)
    assert (twice.champion, twice.history) == ("g1", ())


def test_rollback_to_a_named_former_champion_forgets_what_came_after_it() -> None:
    state = transitions.rollback(after("g1", "g2", "g3", "g4"), PIN, to="g2")
    assert (state.champion, state.history) == ("g2", ("g1",))


def test_rollback_takes_the_latest_term_of_a_generation() -> None:
    state = transitions.rollback(after("g1", "g2", "g1", "g3"), PIN, to="g1")
    assert (state.champion, state.history) == ("g1", ("g1", "g2"))


def test_activating_forward_after_a_rollback_unpins() -> None:
    back = transitions.rollback(after("g1", "g2"), PIN)
    forward = transitions.activate(back, "g2")
    assert (forward.champion, forward.history, forward.pin) == ("g2", ("g1",), None)


def test_history_stays_bounded() -> None:
    state = after(*(f"g{n}" for n in range(HISTORY + 5)))
    assert len(state.history) == HISTORY
    assert state.history[-1] == f"g{HISTORY + 3}"


def test_rejecting_the_staged_generation_unstages_it_and_no_other() -> None:
    state = transitions.stage(after("g1"), "g2")
    assert transitions.reject(state, "g2").staged is None
    assert transitions.reject(state, "g3").staged == "g2"


@pytest.mark.parametrize(
    ("impossible", "advice"),
    [
        (lambda s: transitions.stage(s, "g2"), "nothing to stage"),
        (lambda s: transitions.activate(s, "g2"), "adapters list"),
        (lambda s: transitions.promote(s, "g9"), "stage it"),
        (lambda s: transitions.promote(replace(s, pin=PIN), "g3"), "pinned by ana .clicks fell"),
        (lambda s: transitions.reject(s, "g2"), "rollback"),
        (lambda s: transitions.rollback(replace(s, history=()), PIN), "no former champion"),
        (lambda s: transitions.rollback(s, PIN, to="g2"), "champion already"),
        (lambda s: transitions.rollback(s, PIN, to="g8"), "never champion.*newest first: g1"),
        (lambda s: transitions.pin(RegistryState(), PIN), "no champion"),
        (lambda s: transitions.pin(replace(s, pin=PIN), PIN), "pinned already"),
        (transitions.unpin, "nothing is pinned"),
        (lambda s: transitions.hold(s, "g3"), "need not wait"),
    ],
)
def test_impossible_steps_say_what_to_do(impossible, advice) -> None:
    with pytest.raises(UserError, match=advice):
        impossible(transitions.stage(after("g1", "g2"), "g3"))


def test_of_two_writers_at_one_revision_the_first_in_the_log_wins() -> None:
    base = record(after("g1"))
    ours, theirs = (record(transitions.activate(base.state, g)) for g in ("g2", "g3"))
    assert registry.replay([base, ours, theirs]).champion == "g2"
    assert registry.replay([base, theirs, ours]).champion == "g3"


def test_a_compacted_log_that_ends_in_a_repair_leads_to_the_accepted_state() -> None:
    base = record(after("g1", "g2", "g3"))
    stale = record(transitions.activate(after("g1"), "g9"))  # its writer had not read on
    repaired = record(registry.repair(base.state), Action.REPAIR)
    whole = registry.replay([base, stale, repaired])
    assert registry.replay([stale, repaired]) == whole
    assert registry.replay([repaired]) == whole
    assert whole.champion == "g3"


def trying(generation: str, *before: str) -> RegistryState:
    """``generation`` is being tried out beside the last of ``before``."""
    staged = transitions.stage(after(*before), generation)
    return transitions.try_out(staged, Canary(generation, 0.1, generation, 1))


def test_a_canary_leaves_the_champion_in_place_and_frees_the_stage() -> None:
    state = trying("g2", "g1")
    assert (state.champion, state.staged, state.canary.generation) == ("g1", None, "g2")
    assert state.revision == 3


def test_a_canary_is_promoted_or_abandoned() -> None:
    promoted = transitions.promote(trying("g2", "g1"), "g2")
    assert (promoted.champion, promoted.history, promoted.canary) == ("g2", ("g1",), None)
    abandoned = transitions.abandon(trying("g2", "g1"), "g2")
    assert (abandoned.champion, abandoned.canary, abandoned.pin) == ("g1", None, None)


@pytest.mark.parametrize(
    ("what", "step"),
    [
        ("activate another", lambda s: transitions.activate(s, "g9")),
        ("activate it", lambda s: transitions.activate(s, "g3")),
        ("pin", lambda s: transitions.pin(s, PIN)),
        ("roll back by name", lambda s: transitions.rollback(s, PIN, to="g1")),
        ("reject it", lambda s: transitions.reject(s, "g3")),
    ],
)
def test_what_an_operator_does_ends_a_canary(what: str, step) -> None:
    assert step(trying("g3", "g1", "g2")).canary is None, what


def test_a_rollback_during_a_canary_undoes_the_canary_first() -> None:
    once = transitions.rollback(trying("g3", "g1", "g2"), PIN)
    assert (once.champion, once.canary, once.history, once.pin) == ("g2", None, ("g1",), PIN)
    twice = transitions.rollback(once, PIN)
    assert (twice.champion, twice.history) == ("g1", ())


def test_staging_another_generation_does_not_disturb_a_canary() -> None:
    state = transitions.stage(trying("g2", "g1"), "g3")
    assert (state.staged, state.canary.generation) == ("g3", "g2")
    assert transitions.reject(state, "g3").canary is not None


def test_a_canary_is_refused_without_a_champion_over_a_pin_twice_or_unstaged() -> None:
    canary = Canary("g2", 0.1, "g2", 1)
    with pytest.raises(UserError, match="no champion"):
        transitions.try_out(transitions.stage(RegistryState(), "g2"), canary)
    with pytest.raises(UserError, match="pinned by ana"):
        transitions.try_out(transitions.pin(transitions.stage(after("g1"), "g2"), PIN), canary)
    with pytest.raises(UserError, match="not staged"):
        transitions.try_out(after("g1"), canary)
    with pytest.raises(UserError, match="one at a time"):
        transitions.try_out(transitions.stage(trying("g3", "g1"), "g2"), canary)
    with pytest.raises(UserError, match="between 0 and 1"):
        transitions.try_out(transitions.stage(after("g1"), "g2"), replace(canary, share=1.0))
    with pytest.raises(UserError, match="not being tried out"):
        transitions.abandon(after("g1"), "g2")


BAD = Quarantine(0, 120, 340)


def test_relearning_takes_fleet_and_learner_back_and_lifts_the_pin() -> None:
    state = transitions.pin(after("g1", "g2", "g3"), Pin("alarm", "a burst of clicks", 0))
    state = transitions.relearn(transitions.stage(state, "g4"), "g1", [BAD])
    assert (state.champion, state.history, state.staged, state.pin) == ("g1", (), None, None)
    assert (state.quarantine, state.epoch) == ((BAD,), 1)
    assert state.relearn is not None
    assert state.relearn.generation == "g1"


def test_relearning_again_is_a_new_epoch_and_forgets_no_quarantine() -> None:
    state = transitions.relearn(after("g1"), "g1", [BAD])  # the champion itself may be good
    state = transitions.relearn(state, "g1", [Quarantine(1, 5, 9)])
    assert state.epoch == 2
    assert state.quarantine == (BAD, Quarantine(1, 5, 9))


def test_relearning_ends_a_canary() -> None:
    state = transitions.relearn(trying("g3", "g1", "g2"), "g1", [BAD])
    assert (state.canary, state.champion) == (None, "g1")


def test_relearning_needs_a_former_champion_and_something_to_forget() -> None:
    with pytest.raises(UserError, match="never champion"):
        transitions.relearn(after("g1"), "g7", [BAD])
    with pytest.raises(UserError, match="--quarantine"):
        transitions.relearn(after("g1", "g2"), "g1", [])
