"""Readers of one control log agree, whatever the interleaving, and compaction loses nothing."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release import registry, transitions
from streamrec.core.release.canary import Canary
from streamrec.core.release.registry import Action, ControlRecord, Pin, RegistryState
from streamrec.errors import UserError

WRITERS = st.sampled_from(["trainer", "ana", "ben"])
GENERATIONS = st.sampled_from(["g1", "g2", "g3", "g4"])
BAD = Quarantine(0, 10, 20)


class Writer:
    """Reads the log at its own pace; remembers whether it has lost and still owes a repair."""

    def __init__(self) -> None:
        self.position = 0
        self.state = RegistryState()
        self.owes_repair = False


class Log(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.whole: list[ControlRecord] = []
        self.kept: set[int] = set()  # what compaction has left, by offset
        self.accepted: list[ControlRecord] = []  # by a reader that saw every record as it came
        self.writers = {name: Writer() for name in ("trainer", "ana", "ben")}

    def write(self, name: str, action: Action, state: RegistryState) -> None:
        writer = self.writers[name]
        record = ControlRecord(action, name, "", len(self.whole), state, state.champion)
        truth = self.accepted[-1].state if self.accepted else RegistryState()
        if registry.accepts(truth, record):
            self.accepted.append(record)
        self.kept.add(len(self.whole))
        self.whole.append(record)
        self.read(name)  # the read-back: records others wrote before ours decide
        writer.owes_repair = writer.state != self.whole[-1].state

    @rule(name=WRITERS)
    def read(self, name: str) -> None:
        writer = self.writers[name]
        unread = [self.whole[at] for at in sorted(self.kept) if at >= writer.position]
        for record in unread:
            writer.state = registry.advance(writer.state, record)
        writer.position = len(self.whole)

    @rule(name=WRITERS, action=st.sampled_from(Action), generation=GENERATIONS)
    def act_on_what_was_read(self, name: str, action: Action, generation: str) -> None:
        if self.writers[name].owes_repair:
            return
        try:
            state = step(self.writers[name].state, action, generation)
        except UserError:
            return
        self.write(name, action, state)

    @rule(name=WRITERS)
    def repair(self, name: str) -> None:
        writer = self.writers[name]
        if not writer.owes_repair:
            return
        self.read(name)
        if self.ends_accepted():
            writer.owes_repair = False  # another writer has done it
        else:
            self.write(name, Action.REPAIR, registry.repair(writer.state))

    @precondition(lambda self: self.whole and self.ends_accepted())
    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        """Kafka drops any records of a key but its last, and never the segment in use.

        The segment in use is why a loser has the time to repair before this happens.
        """
        droppable = sorted(self.kept - {len(self.whole) - 1})
        if droppable:
            self.kept -= data.draw(st.sets(st.sampled_from(droppable)))

    def ends_accepted(self) -> bool:
        return not self.whole or self.whole[-1] is self.accepted[-1]

    @invariant()
    def accepted_revisions_have_no_gap(self) -> None:
        revisions = [record.state.revision for record in self.accepted]
        assert revisions == list(range(1, len(revisions) + 1))

    @invariant()
    def a_canary_has_a_champion_beside_it_and_nobody_pinned_that(self) -> None:
        for state in (record.state for record in self.accepted):
            if state.canary is not None:
                assert state.champion not in (None, state.canary.generation)
                assert state.pin is None

    @invariant()
    def whoever_has_read_everything_agrees(self) -> None:
        if not self.accepted:
            return
        truth = self.accepted[-1].state
        assert registry.replay(self.whole) == truth
        if self.ends_accepted():
            late_starter = registry.replay(self.whole[at] for at in sorted(self.kept))
            assert late_starter == truth
        for writer in self.writers.values():
            if writer.position == len(self.whole):
                assert writer.state == truth


def step(state: RegistryState, action: Action, generation: str) -> RegistryState:
    by = Pin("somebody", "", 0)
    steps = {
        Action.STAGE: lambda: transitions.stage(state, generation),
        Action.ACTIVATE: lambda: transitions.activate(state, generation),
        Action.REJECT: lambda: transitions.reject(state, generation),
        Action.HOLD: lambda: transitions.hold(state, generation),
        Action.ROLLBACK: lambda: transitions.rollback(state, by),
        Action.PIN: lambda: transitions.pin(state, by),
        Action.UNPIN: lambda: transitions.unpin(state),
        Action.CANARY: lambda: transitions.try_out(state, Canary(generation, 0.1, generation, 0)),
        Action.ABANDON: lambda: transitions.abandon(state, generation),
        Action.RELEARN: lambda: transitions.relearn(state, generation, [BAD]),
        Action.REPAIR: lambda: transitions.promote(state, generation),
    }
    return steps[action]()


TestLog = Log.TestCase
TestLog.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
