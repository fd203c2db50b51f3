"""A death at every single step, and every message lost: nothing is lost, nothing counts twice."""

from __future__ import annotations

import json

import numpy as np
import pytest

from streamrec.core.ledger.ledger import Ledger
from streamrec.errors import Unavailable
from tests.fakes.clock import FakeClock
from tests.fakes.publisher import FakePublisher
from tests.fakes.store import FakePartitionStore
from tests.fakes.streams import event_records
from tests.harness.codec import wire_codec
from tests.unit.loop.ingesting import EVENTS, ITEMS, RUN, feed, load_catalogue, make_ingest

CODEC = wire_codec()
RECORDS = event_records(60, seed=7, bad_every=13)


class Died(BaseException):
    """The process is gone. No handler of ours may catch it."""


class Fuse:
    """Lets ``steps`` effects through, then kills: before the next one, or right after it."""

    def __init__(self, steps: int, after: bool) -> None:
        self.left = steps
        self.after = after

    def context(self, effect, *args):
        self.left -= 1
        if self.left == -1 and not self.after:
            raise Died
        result = effect(*args)
        if self.left == -1:
            raise Died
        return result


class MortalStore(FakePartitionStore):
    def __init__(self, survivor: FakePartitionStore, fuse: Fuse) -> None:
        super().__init__()
        self.partitions = survivor.partitions
        self.fuse = fuse

    def commit(self, *args):
        return self.fuse.context(super().commit, *args)

    def read_users(self, *args):
        return self.fuse.context(super().read_users, *args)

    def trim_outbox(self, *args):
        return self.fuse.context(super().trim_outbox, *args)


class MortalPublisher(FakePublisher):
    def __init__(self, survivor: FakePublisher, fuse: Fuse) -> None:
        super().__init__(acknowledged=survivor.acknowledged)
        self.fuse = fuse

    def publish(self, *args):
        return self.fuse.context(super().publish, *args)

    def flush(self):
        return self.fuse.context(super().flush)


def run_to_the_end(store: FakePartitionStore, publisher: FakePublisher) -> None:
    clock = FakeClock()
    ingest = make_ingest(store, publisher, clock=clock)
    ingest.take_over(ITEMS)
    feed(ingest, RECORDS, ingest.take_over(EVENTS))
    clock.pass_ms(1000)
    ingest.tick()
    ingest.settle()


def outcome(store: FakePartitionStore, publisher: FakePublisher):
    """State, and messages as their consumers see them: what was seen before is dropped."""
    ledger, examples = Ledger(), {}
    for value in publisher.values("training-batches"):
        ledger, intake = ledger.admit(CODEC.decode("training-batches", value))
        assert intake.hole is None
        for example in intake.fresh:
            assert (example.offset, example.index) not in examples
            examples[example.offset, example.index] = (
                example.candidates,
                example.labels_C.tolist(),
                np.round(example.stats_CF, 5).tolist(),
            )
    letters = [CODEC.decode("dead-letter", v) for v in publisher.values("dead-letter")]
    updates = [CODEC.decode("user-updates", v) for v in publisher.values("user-updates")]
    return {
        "position": store.position(EVENTS),
        "users": {u: rounded(r) for u, r in store.partitions[EVENTS].users.items()},
        "rows": store.read_rows(EVENTS, 0).rows,
        "examples": examples,
        "letters": {(x.offset, x.code) for x in letters},
        "updates": {(x.user_id, x.offset) for x in updates},
        "waiting": [store.outbox(EVENTS, name, 99) for name in ("updates", "examples")],
    }


def rounded(record):
    """Without logged features: a takeover adds the statistics up anew, and what has all but
    decayed may differ in its last bit."""
    user = json.loads(record)
    return user | {"p": [p | {"f": "", "ef": ""} for p in user["p"]], "df": []}


def world():
    store, publisher = FakePartitionStore(), FakePublisher()
    load_catalogue(make_ingest(store, publisher))
    return store, publisher


def clean_run():
    store, publisher = world()
    fuse = Fuse(10**9, after=False)
    run_to_the_end(MortalStore(store, fuse), MortalPublisher(publisher, fuse))
    return outcome(store, publisher), 10**9 - fuse.left


CLEAN, STEPS = clean_run()


def test_the_clean_run_has_something_of_everything():
    assert CLEAN["position"] == len(RECORDS)
    assert CLEAN["letters"]
    assert len(CLEAN["examples"]) > 10
    assert len(CLEAN["updates"]) > 10
    assert CLEAN["waiting"] == [[], []]
    assert STEPS > 40


# dying after a step is dying before the next; after the last there is none
DEATHS = [*((step, False) for step in range(STEPS)), (STEPS - 1, True)]


@pytest.mark.parametrize("delivered", [True, False], ids=["delivered", "undelivered"])
@pytest.mark.parametrize(("step", "after"), DEATHS)
def test_a_death_at_any_step(step, after, delivered):
    store, publisher = world()
    fuse = Fuse(step, after)
    doomed = MortalPublisher(publisher, fuse)
    with pytest.raises(Died):
        run_to_the_end(MortalStore(store, fuse), doomed)
    if delivered:  # what was on its way when it died may arrive, or not
        publisher.acknowledged += doomed.on_its_way
    run_to_the_end(store, publisher)
    assert outcome(store, publisher) == CLEAN


def patient(action):
    """Again and again while something is unavailable."""
    while True:
        try:
            return action()
        except Unavailable:
            continue


def run_although_a_message_is_lost(store, publisher) -> None:
    """The loss is told to another partition's takeover, or whoever flushes first."""
    clock = FakeClock()
    ingest = make_ingest(store, publisher, clock=clock)
    patient(lambda: ingest.take_over(ITEMS))
    position = 0
    while position < len(RECORDS):
        if not ingest.holds(EVENTS):
            position = patient(lambda: ingest.take_over(EVENTS))
        try:
            position = ingest.ingest(EVENTS, RECORDS[position : position + RUN])
        except Unavailable:
            continue
        patient(lambda: ingest.take_over(ITEMS))
        patient(ingest.settle)
    clock.pass_ms(1000)
    ingest.tick()
    patient(ingest.settle)
    if not ingest.holds(EVENTS):
        patient(lambda: ingest.take_over(EVENTS))


SENT = len(CLEAN["updates"]) + len(CLEAN["letters"]) + len(CLEAN["examples"]) // 8


@pytest.mark.parametrize("lost", range(SENT))
def test_a_message_that_kafka_does_not_take_is_published_again(lost):
    store, publisher = world()
    sent = iter(range(10**6))
    publisher.lose = lambda topic, key: next(sent) == lost
    run_although_a_message_is_lost(store, publisher)
    assert publisher.failures
    assert outcome(store, publisher) == CLEAN
