"""Raw records in, state and messages out."""

from __future__ import annotations

import pytest

from streamrec.core.events import Item, Source
from streamrec.core.ledger.ledger import Ledger
from streamrec.core.state.batching import BatchRules
from streamrec.core.state.catalogue import item_from_record, item_record
from streamrec.errors import PositionConflict, SchemaUnavailable, Unavailable, UserError
from streamrec.loop.ingesting.raw import RawRecord
from streamrec.ports import Writes
from tests.fakes.clock import FakeClock
from tests.fakes.publisher import FakePublisher
from tests.fakes.store import FakePartitionStore
from tests.fakes.streams import START_MS, catalogue_records, event_records
from tests.harness.codec import wire_codec
from tests.unit.loop.ingesting import EVENTS, ITEMS, feed, load_catalogue, make_ingest

CODEC = wire_codec()


@pytest.fixture
def store():
    return FakePartitionStore()


@pytest.fixture
def publisher():
    return FakePublisher()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def ingest(store, publisher, clock):
    made = make_ingest(store, publisher, clock=clock)
    load_catalogue(made)
    made.take_over(EVENTS)
    return made


def letters(publisher):
    return [CODEC.decode("dead-letter", value) for value in publisher.values("dead-letter")]


def record(offset: int, value: bytes | None, key: bytes | None = b"u1") -> RawRecord:
    return RawRecord(offset, START_MS, key, value)


CLICK = (
    b'{"event_id": "e1", "user_id": "u1", "item_id": "i1", "kind": "click", '
    b'"occurred_at_ms": %d}' % START_MS
)


def test_a_run_moves_state_position_and_messages(ingest, store, publisher):
    feed(ingest, event_records(60, seed=1), 0)
    assert store.position(EVENTS) == 60
    assert ingest.counts.events_applied == 60
    assert set(store.partitions[EVENTS].users) <= {f"u{n}" for n in range(5)}
    updates = [CODEC.decode("user-updates", value) for value in publisher.values("user-updates")]
    assert updates
    assert [u.offset for u in updates] == sorted({u.offset for u in updates})
    assert store.outbox(EVENTS, "updates", 9) == []
    keys = {key for topic, key, _ in publisher.acknowledged if topic == "training-batches"}
    assert keys == {b"0"}


def test_bad_records_are_kept_with_their_reason_and_passed(ingest, store, publisher):
    bad = [
        record(0, b"hello"),
        record(1, b"\xc3\x01" + b"\x00" * 20),
        record(2, b'{"event_id": "e"}'),
        record(3, None),
        record(4, CLICK.replace(b"%d" % START_MS, b"%d" % (START_MS + 90_000_000))),
        record(5, CLICK),
        record(6, CLICK.replace(b"%d" % START_MS, b"0")),
    ]
    assert ingest.ingest(EVENTS, bad) == 7
    found = letters(publisher)
    assert [letter.offset for letter in found] == [0, 1, 2, 3, 4, 6]
    assert [letter.code for letter in found] == [
        "malformed", "unknown-schema", "invalid-field", "malformed", "impossible-time",
        "invalid-field",
    ]  # fmt: skip
    assert found[0].value == b"hello"
    assert (found[0].topic, found[0].partition, found[0].key) == ("events", 0, b"u1")
    assert "90000 s ahead of the record's own time; at most 86400 s" in found[4].reason
    assert ingest.counts.events_applied == 1
    assert ingest.counts.dead_letters == 6


def test_a_run_of_nothing_but_bad_records_moves_on(ingest, store):
    assert ingest.ingest(EVENTS, [record(0, b"x"), record(1, b"y")]) == 2
    assert store.position(EVENTS) == 2


def test_a_value_too_large_for_a_letter_is_left_out_aloud(store):
    publisher = FakePublisher(max_bytes=2000)
    ingest = make_ingest(store, publisher, max_message_bytes=2000)
    ingest.take_over(EVENTS)
    ingest.ingest(EVENTS, [record(0, b"{" + b"x" * 5000), record(1, CLICK)])
    [letter] = letters(publisher)
    assert (letter.code, letter.value) == ("too-large", None)
    assert "5001 bytes; at most 2000" in letter.reason
    assert "read it at events-0 offset 0" in letter.reason
    assert ingest.counts.events_applied == 1


def test_an_event_on_a_partition_where_nobody_will_look_is_refused(store, publisher):
    ingest = make_ingest(store, publisher, partition_of=lambda user_id: 3)
    ingest.take_over(EVENTS)
    ingest.ingest(EVENTS, [record(0, CLICK)])
    [letter] = letters(publisher)
    assert "user 'u1' belongs to partition 3" in letter.reason


def test_unknown_items_are_folded_and_counted(ingest, store):
    ingest.ingest(EVENTS, [record(0, CLICK.replace(b"i1", b"nowhere"))])
    assert ingest.counts.unknown_items == 1
    assert "i/nowhere" in store.read_rows(EVENTS, 0).rows


def test_a_click_on_a_list_that_has_closed_is_counted_as_late(ingest):
    shown = CLICK.replace(b"click", b"view").replace(b"{", b'{"impression_id": "p", ', 1)
    clicked = shown.replace(b"view", b"click").replace(b"e1", b"e2")
    in_an_hour = clicked.replace(b"%d" % START_MS, b"%d" % (START_MS + 3_600_000))
    later = RawRecord(1, START_MS + 3_600_000, b"u1", in_an_hour)
    ingest.ingest(EVENTS, [record(0, shown), later])
    assert (ingest.counts.events_applied, ingest.counts.late_clicks) == (2, 1)


def test_records_seen_again_change_nothing(ingest, store):
    records = event_records(40, seed=2)
    feed(ingest, records, 0)
    users = dict(store.partitions[EVENTS].users)
    commits = store.commits
    assert ingest.ingest(EVENTS, records[10:40]) == 40
    assert (store.partitions[EVENTS].users, store.commits) == (users, commits)


def test_what_nobody_reads_is_passed(ingest, store):
    """Ends of transactions, what they took back, what compaction removed."""
    records = event_records(40, seed=2)
    assert ingest.ingest(EVENTS, [*records[:5], *records[7:20]]) == 20
    assert ingest.ingest(EVENTS, records[3:20]) == 20
    ingest.pass_over(EVENTS, 23)
    ingest.pass_over(EVENTS, 21)
    assert store.position(EVENTS) == 23
    assert ingest.ingest(EVENTS, records[20:30]) == 30
    assert ingest.counts.events_applied == 18 + 7


def test_a_lost_race_throws_memory_away_and_the_next_takeover_continues(ingest, store, publisher):
    records = event_records(40, seed=3)
    feed(ingest, records[:20], 0)
    other = make_ingest(store, FakePublisher())
    load_catalogue_from_store = other.take_over(ITEMS)
    assert load_catalogue_from_store == len(catalogue_records())
    assert other.take_over(EVENTS) == 20
    other.ingest(EVENTS, records[20:30])
    with pytest.raises(PositionConflict):
        ingest.ingest(EVENTS, records[20:25])
    assert EVENTS not in ingest.partitions
    assert ingest.counts.conflicts == 1
    assert ingest.take_over(EVENTS) == 30
    feed(ingest, records, 30)
    clean_store = FakePartitionStore()
    clean = make_ingest(clean_store, FakePublisher())
    load_catalogue(clean)
    clean.take_over(EVENTS)
    feed(clean, records, 0)
    assert store.read_rows(EVENTS, 0) == clean_store.read_rows(EVENTS, 0)


def test_batches_wait_until_old_enough(ingest, publisher, clock):
    ingest.ingest(EVENTS, [record(0, CLICK)])
    ingest.tick()
    assert publisher.values("training-batches") == []
    clock.pass_ms(500)
    ingest.tick()
    [batch] = [CODEC.decode("training-batches", v) for v in publisher.values("training-batches")]
    assert (batch.partition, batch.from_offset, batch.to_offset) == (0, 0, 1)
    assert len(batch.examples) == 1


def test_batches_tile_the_offsets(ingest, publisher):
    feed(ingest, event_records(200, seed=4), 0)
    ledger, trained = Ledger(), []
    for value in publisher.values("training-batches"):
        batch = CODEC.decode("training-batches", value)
        assert len(batch.examples) <= 8
        ledger, intake = ledger.admit(batch)
        assert intake.hole is None
        assert intake.seen_again == 0
        trained += intake.fresh
    assert len(trained) > 30


def test_an_example_wider_than_a_message_is_reported_and_the_rest_goes_on(store):
    publisher = FakePublisher(max_bytes=350)
    batch = BatchRules(examples=1, bytes=10_000, age_ms=0)
    ingest = make_ingest(store, publisher, batch=batch)
    load_catalogue(ingest)
    ingest.take_over(EVENTS)
    wide = [
        record(n, CLICK.replace(b"e1", b"e%d" % n).replace(b"i1", b"i%d" % n)) for n in range(3)
    ]
    ingest.ingest(EVENTS, wide)
    ingest.settle()
    [letter] = letters(publisher)
    assert (letter.topic, letter.code) == ("training-batches", "too-large")
    assert "not trained" in letter.reason
    assert len(publisher.values("training-batches")) == 2
    assert store.outbox(EVENTS, "examples", 9) == []


def test_items_come_change_and_go(ingest, store, publisher):
    end = len(catalogue_records())
    changed = CODEC.encode("items", Item("i1", "New title", available=True))
    position = ingest.ingest(
        ITEMS,
        [
            record(end, changed, b"i1"),
            record(end + 5, None, b"i2"),  # compaction left a hole
            record(end + 6, None, None),
            record(end + 7, b'{"title": "no id"}', b"?"),
        ],
    )
    assert position == end + 8
    rows = store.read_rows(ITEMS, end).rows
    assert set(rows) == {"i1", "i2"}
    assert item_from_record(rows["i1"]).title == "New title"
    assert rows["i2"] is None
    assert "i2" not in store.read_rows(ITEMS, 0).rows
    assert [(x.topic, x.offset, x.code) for x in letters(publisher)] == [
        ("items", end + 6, "malformed"),
        ("items", end + 7, "invalid-field"),
    ]


def test_others_rows_are_followed(ingest, store, clock):
    other = Source("events", 0)
    assert other in ingest.partitions  # its own are not read back
    ingest.release(ITEMS)
    end = len(catalogue_records())
    store.commit(ITEMS, end, end + 1, Writes(rows={"x": item_record(Item("x", "X"))}))
    ingest.tick()
    clock.pass_ms(1000)
    ingest.tick()
    ingest.ingest(EVENTS, [record(0, CLICK.replace(b'"i1"', b'"x"'))])
    assert (ingest.counts.events_applied, ingest.counts.unknown_items) == (1, 0)
    assert ingest.items_position(0) == end + 1


def test_a_schema_that_is_given_up_costs_its_messages_alone(store, publisher):
    answers: list[Exception] = [Unavailable("not yet"), SchemaUnavailable("schema id 7: 403")]

    def foreign(schema_id: int) -> object:
        raise answers.pop(0)

    ingest = make_ingest(store, publisher, foreign=foreign)
    load_catalogue(ingest)
    ingest.take_over(EVENTS)
    framed = b"\x00\x00\x00\x00\x07abc"
    run = [record(0, CLICK), record(1, framed), record(2, CLICK.replace(b"e1", b"e2"))]
    with pytest.raises(Unavailable, match="not yet"):
        ingest.ingest(EVENTS, run)
    assert (store.position(EVENTS), letters(publisher)) == (0, [])
    ingest.take_over(EVENTS)
    assert ingest.ingest(EVENTS, run) == 3
    ingest.settle()
    assert ingest.counts.events_applied == 2
    (letter,) = letters(publisher)
    assert (letter.code, letter.offset, letter.value) == ("schema-unavailable", 1, framed)


def test_users_of_a_version_that_kept_no_order_go_too_when_nothing_is_heard_of_them(
    store, publisher
):
    day = 86_400_000
    first = make_ingest(store, publisher, keep_ms=30 * day)
    first.take_over(EVENTS)
    first.ingest(EVENTS, [record(0, CLICK), record(1, CLICK.replace(b"u1", b"u2"))])
    store.partitions[EVENTS].own.clear()  # as version 0.1 has left it
    store.partitions[EVENTS].logs.clear()
    store.partitions[EVENTS].seen_ms.clear()
    second = make_ingest(store, publisher, keep_ms=30 * day)
    second.take_over(EVENTS)
    later_ms = START_MS + 30 * day + day // 2
    late = CLICK.replace(b"%d" % START_MS, b"%d" % later_ms)
    others = [b"v%d" % n for n in range(9)]  # so many move the clock
    second.ingest(
        EVENTS,
        [
            RawRecord(2 + n, later_ms, user, late.replace(b"u1", user))
            for n, user in enumerate(others)
        ],
    )
    assert set(store.partitions[EVENTS].users) == {user.decode() for user in others}
    assert second.counts.expired_users == 2


def test_an_event_too_old_to_be_told_from_a_repetition_is_a_dead_letter(store, publisher):
    ingest = make_ingest(store, publisher)
    ingest.take_over(EVENTS)
    days = [
        RawRecord(
            n,
            START_MS + n * 86_400_000,
            b"u1",
            CLICK.replace(b"e1", b"e%d" % n).replace(
                b"%d" % START_MS, b"%d" % (START_MS + n * 86_400_000)
            ),
        )
        for n in range(6)
    ]
    ingest.ingest(EVENTS, days)
    before = store.read_rows(EVENTS, 0).rows
    again = [RawRecord(6 + n, at.timestamp_ms, at.key, at.value) for n, at in enumerate(days)]
    ingest.ingest(EVENTS, again)
    assert store.read_rows(EVENTS, 0).rows == before
    assert [(x.offset, x.code) for x in letters(publisher)] == [
        (6, "too-late"), (7, "too-late"), (8, "too-late"),
    ]  # fmt: skip
    assert (ingest.counts.too_late, ingest.counts.duplicates) == (3, 3)
    assert ingest.counts.events_applied == 9


def test_state_that_is_not_what_was_written_is_said_to_be(store, publisher):
    ingest = make_ingest(store, publisher)
    ingest.take_over(EVENTS)
    ingest.ingest(EVENTS, [record(0, CLICK)])
    store.partitions[EVENTS].logs.clear()
    with pytest.raises(UserError, match=r"events-0 in Redis is not what was written.*noeviction"):
        make_ingest(store, publisher).take_over(EVENTS)
