"""One trace from an event to its list, whatever dies in between; nothing of it where it is off."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamrec.errors import Unavailable
from streamrec.loop.ingesting.event_traces import TRACES
from streamrec.loop.ingesting.raw import RawRecord
from streamrec.ports import NO_TRACER, Spans, carried, sampled, within
from streamrec.ports.tracing import TRACE_ID, headers, trace_id
from tests.fakes.clock import FakeClock
from tests.fakes.publisher import FakePublisher
from tests.fakes.store import FakePartitionStore
from tests.fakes.streams import event_records
from tests.fakes.tracing import FakeTracer
from tests.harness.codec import wire_codec
from tests.unit.loop.ingesting import EVENTS, ITEMS, feed, load_catalogue, make_ingest
from tests.unit.loop.serving import Counter, items, request, update

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
FOREIGN = f"00-{TRACE}-00f067aa0ba902b7-01"
UNSAMPLED = FOREIGN[:-1] + "0"


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ([("traceparent", FOREIGN.encode())], FOREIGN),
        ([("other", b"x"), ("TraceParent", FOREIGN.encode())], FOREIGN),
        ([("traceparent", b"01" + FOREIGN.encode()[2:])], "01" + FOREIGN[2:]),
        ([("traceparent", FOREIGN.encode() + b"-and-more")], ""),
        ([("traceparent", FOREIGN.upper().encode())], ""),
        ([("traceparent", b"00-" + b"0" * 32 + FOREIGN.encode()[35:])], ""),
        ([("traceparent", b"ff" + FOREIGN.encode()[2:])], ""),
        ([("traceparent", b"\xff" * 10_000)], ""),
        ([("traceparent", None)], ""),
        ([], ""),
    ],
)
def test_what_others_wrote_is_taken_only_if_it_is_what_the_standard_says(found, kept) -> None:
    assert carried(found) == kept


def test_a_trace_is_sampled_or_not_and_log_lines_say_it() -> None:
    assert sampled(FOREIGN)
    assert not sampled(UNSAMPLED)
    assert not sampled("")
    with within(FOREIGN):
        assert TRACE_ID.get() == TRACE
    assert TRACE_ID.get() == ""


def records(traceparent: str = FOREIGN):
    """Some events, the fifth of them in a trace of somebody's."""
    some = event_records(30, seed=3)
    return [
        RawRecord(*record[:6], traceparent if at == 4 else "") for at, record in enumerate(some)
    ]


class NotedStore(FakePartitionStore):
    """``written``: payloads ever put into an outbox."""

    def __init__(self) -> None:
        super().__init__()
        self.written: dict[str, list[bytes]] = {}

    def commit(self, source, expected, position, writes):
        super().commit(source, expected, position, writes)
        for name, entries in writes.outboxes.items():
            self.written.setdefault(name, []).extend(e.payload for e in entries)


def ingested(tracer, *, publisher=None, store=None, events=None, clock=None):
    store, publisher = store or FakePartitionStore(), publisher or FakePublisher()
    load_catalogue(make_ingest(store, publisher))
    ingest = make_ingest(store, publisher, tracer=tracer, clock=clock)
    ingest.take_over(ITEMS)
    feed(ingest, events or records(), ingest.take_over(EVENTS))
    return ingest, store, publisher


def test_an_update_goes_on_in_the_trace_of_its_event() -> None:
    tracer = FakeTracer()
    _, _, publisher = ingested(tracer)
    folds = tracer.named(Spans.FOLD)
    assert len(folds) == 30
    assert folds[4].parent == FOREIGN
    assert all(span.ended == 1 and not span.failed for span in folds)
    updates = [carried for topic, carried in publisher.headers if topic == "user-updates"]
    assert headers(folds[4].traceparent) in updates
    assert trace_id(folds[4].traceparent) == TRACE
    assert len(set(updates)) == len(updates), "each its own event's"


def test_a_mini_batch_has_links_to_the_events_of_its_examples_and_the_outbox_is_emptied() -> None:
    tracer = FakeTracer()
    clock = FakeClock()
    ingest, store, publisher = ingested(tracer, clock=clock)
    batches = tracer.named(Spans.BATCH)
    sent = [carried for topic, carried in publisher.headers if topic == "training-batches"]
    assert sent == [span.headers for span in batches]
    folds = {span.traceparent for span in tracer.named(Spans.FOLD)}
    assert all(span.links and set(span.links) <= folds for span in batches)
    waiting = min(entry.offset for entry in store.outbox(EVENTS, "examples", 99))
    assert [entry.offset for entry in store.outbox(EVENTS, TRACES, 99)] == [*range(waiting, 30)]
    clock.pass_ms(1000)
    ingest.tick()
    ingest.settle()
    assert store.outbox(EVENTS, TRACES, 99) == []


def test_where_nobody_traces_no_header_and_no_entry_is_written() -> None:
    store = NotedStore()
    _, _, publisher = ingested(NO_TRACER, store=store)
    assert not any(carried for _, carried in publisher.headers)
    assert TRACES not in store.written


def test_an_event_that_nobody_wants_to_see_costs_no_entry_and_its_update_says_so() -> None:
    tracer, events = FakeTracer(), records(UNSAMPLED)[:5]
    store = NotedStore()
    _, _, publisher = ingested(tracer, store=store, events=events)
    last = tracer.named(Spans.FOLD)[4].traceparent
    assert last.endswith("-00")
    assert ("user-updates", headers(last)) in publisher.headers
    assert last.encode() not in store.written[TRACES]
    assert len(store.written[TRACES]) == 4


class Forgetful(FakePublisher):
    """Dies of whatever it is to say to the serving workers."""

    def publish(self, topic, key, value, headers=()):
        if topic == "user-updates":
            raise Unavailable("killed")
        super().publish(topic, key, value, headers)


def test_a_worker_killed_after_its_commit_is_followed_by_one_that_goes_on_in_the_trace() -> None:
    store, first = FakePartitionStore(), FakeTracer()
    with pytest.raises(Unavailable):
        ingested(first, publisher=Forgetful(), store=store)
    fold = first.named(Spans.FOLD)[4]
    assert fold.failed == "folded again: killed"
    publisher, second = FakePublisher(), FakeTracer()
    ingest = make_ingest(store, publisher, tracer=second)
    ingest.take_over(ITEMS)
    ingest.take_over(EVENTS)
    assert ("user-updates", headers(fold.traceparent)) in publisher.headers
    ingest.settle()
    make_ingest(store, publisher, tracer=NO_TRACER).take_over(EVENTS)
    assert not store.outbox(EVENTS, TRACES, 99), "nor is any left for one that does not trace"


def test_what_is_refused_is_said_in_its_span() -> None:
    tracer = FakeTracer()
    _, _, publisher = ingested(tracer, events=event_records(20, seed=3, bad_every=5))
    failed = [span for span in tracer.named(Spans.FOLD) if span.failed]
    assert failed
    codec, letters = wire_codec(), publisher.values("dead-letter")
    codes = [codec.decode("dead-letter", letter).code for letter in letters]
    assert [span.failed.partition(":")[0] for span in failed] == codes


def served(tracer, *batch):
    counter = Counter(tracer=tracer)
    counter.add_items(*items("a", "b"))
    counter.serve(*batch)
    return counter


def test_a_list_goes_on_in_the_trace_of_what_asked_for_it() -> None:
    tracer = FakeTracer()
    earlier, last = (
        replace(update("ana", offset=at), traceparent=f"00-{at:032x}-{at:016x}-01") for at in (4, 5)
    )
    counter = served(tracer, earlier, replace(request("bo"), traceparent=FOREIGN), last)
    asked, told = tracer.named(Spans.SERVE)
    assert (asked.parent, told.parent) == (FOREIGN, last.traceparent)
    assert told.links == [earlier.traceparent], "one list stands for both"
    assert asked.attributes["generation"] == "g1"
    assert asked.ended == told.ended == 1
    sent = [carried for topic, carried in counter.publisher.headers if topic == "recommendations"]
    assert sent == [asked.headers, told.headers]


def test_a_list_carries_nothing_where_nobody_traces() -> None:
    counter = served(NO_TRACER, replace(update("ana"), traceparent=FOREIGN))
    assert [carried for _, carried in counter.publisher.headers] == [()]
