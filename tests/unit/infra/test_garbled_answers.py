"""An answer that kafka-python cannot decode costs a consumer, never a worker; one that nothing
installed can decompress ends the wait, by name."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
from kafka import TopicPartition
from kafka.errors import UnsupportedCodecError

from streamrec.core.events import Request
from streamrec.errors import Unavailable, UserError
from streamrec.infra.feeds.batch_feed import KafkaBatchFeed
from streamrec.infra.feeds.trigger_feed import KafkaTriggerFeed
from streamrec.infra.stores.control_log import KafkaControlLog
from streamrec.settings import KafkaSettings
from tests.harness.codec import wire_codec

CODEC = wire_codec()
SETTINGS = KafkaSettings(bootstrap="nowhere:1")
GARBAGE = [
    struct.error("unpack requires a buffer of 4 bytes"),
    ValueError("Buffer underrun decoding string"),
    IndexError("index out of range"),
    EOFError(),
]


class FakeConsumer:
    """``polls``: what each poll gives, or raises."""

    def __init__(self, polls: Sequence[object], closing: Exception | None = None) -> None:
        self.polls, self.closing = list(polls), closing
        self.closed, self.sought, self.committed = False, [], []

    def poll(self, timeout_ms=0, max_records=None):
        given = self.polls.pop(0) if self.polls else {}
        if isinstance(given, Exception):
            raise given
        return given

    def _poll_once(self, timer):
        """What ``poll`` asks with: consumers are paced there (``infra.wire.kafka_pace``)."""
        return {}

    def close(self, **how):
        self.closed = True
        if self.closing:
            raise self.closing

    def commit(self, offsets):
        self.committed.append(offsets)

    def seek(self, partition, offset):
        self.sought.append(offset)

    def assign(self, partitions): ...

    def position(self, partition):
        return 7

    def paused(self):
        return set()

    def pause(self, *partitions): ...

    def resume(self, *partitions): ...

    def assignment(self):
        return {TopicPartition("streamrec.requests", 0)}

    def beginning_offsets(self, partitions, **how):
        return dict.fromkeys(partitions, 0)

    def end_offsets(self, partitions, **how):
        return dict.fromkeys(partitions, 100)


def message(topic: str, offset: int, value: bytes) -> SimpleNamespace:
    return SimpleNamespace(
        topic=topic, partition=0, offset=offset, timestamp=1, key=b"k", value=value, headers=()
    )


def given_out(*consumers: FakeConsumer) -> Callable[..., FakeConsumer]:
    """In place of connecting: one after the other."""
    waiting = iter(consumers)
    return lambda *args, **how: next(waiting)


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
@pytest.mark.parametrize("closing", [None, struct.error("again"), OSError("gone")], ids=repr)
def test_a_trigger_feed_begins_again_where_the_group_has_committed(garbage, closing):
    request = CODEC.encode("requests", Request("r1", "ann", 1_767_323_044_000))
    found = {TopicPartition("streamrec.requests", 0): [message("streamrec.requests", 7, request)]}
    broken, whole = FakeConsumer([found, garbage], closing), FakeConsumer([found])
    feed = KafkaTriggerFeed(SETTINGS, CODEC, "test", connect=given_out(broken, whole))
    assert [m.offset for m in feed.poll(0.1, 10)] == [7]
    with pytest.raises(Unavailable, match="cannot be decoded"):
        feed.poll(0.1, 10)
    assert broken.closed
    feed.commit()  # of what the broken one handed out: nothing, it comes again
    assert broken.committed == whole.committed == []
    assert [m.offset for m in feed.poll(0.1, 10)] == [7]
    feed.commit()
    assert [offset.offset for offset in whole.committed[0].values()] == [8]


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_a_batch_feed_goes_on_where_it_was(garbage):
    topic = "streamrec.training-batches"
    found = {TopicPartition(topic, 0): [message(topic, 5, b"x"), message(topic, 6, b"y")]}
    broken, whole = FakeConsumer([found, garbage]), FakeConsumer([{}])
    feed = KafkaBatchFeed(SETTINGS, CODEC, "test", connect=given_out(broken, whole))
    feed.seek(5)
    assert [batch.offset for batch in feed.poll(0.1, 10)] == [5, 6]
    with pytest.raises(Unavailable, match="cannot be decoded"):
        feed.poll(0.1, 10)
    assert broken.closed
    feed.poll(0.1, 10)
    assert whole.sought == [7]


def test_a_batch_feed_asks_another_consumer_for_its_lag():
    """Whatever was asked, the consumer that got such an answer is not asked again."""

    class Broken(FakeConsumer):
        def end_offsets(self, partitions, **how):
            raise struct.error("unpack requires a buffer of 8 bytes")

    broken, whole = Broken([]), FakeConsumer([])
    feed = KafkaBatchFeed(SETTINGS, CODEC, "test", connect=given_out(broken, whole))
    with pytest.raises(Unavailable, match="cannot be decoded"):
        feed.lag()
    assert broken.closed
    assert feed.lag() == 100 - 7


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_a_control_log_is_read_anew(garbage):
    broken, whole = FakeConsumer([garbage]), FakeConsumer([{}])
    log = KafkaControlLog({}, CODEC, connect=given_out(broken, whole))
    with pytest.raises(Unavailable, match="cannot be decoded"):
        log.poll(0.1)
    assert broken.closed
    assert log.poll(0.1) is None
    assert whole.sought == [0]


@pytest.mark.parametrize("compression", ["zstd", "snappy", "lz4"])
def test_a_compression_that_nothing_installed_reads_is_named(compression: str) -> None:
    error = UnsupportedCodecError(f"Libraries for {compression} compression codec not found")
    said = f"compressed with {compression}, which this installation cannot read"
    feeds = [
        KafkaTriggerFeed(SETTINGS, CODEC, "test", connect=given_out(FakeConsumer([error]))),
        KafkaBatchFeed(SETTINGS, CODEC, "test", connect=given_out(FakeConsumer([error]))),
    ]
    for feed in feeds:
        with pytest.raises(UserError, match=said):
            feed.poll(0.1, 1)
    log = KafkaControlLog({}, CODEC, connect=given_out(FakeConsumer([error])))
    with pytest.raises(UserError, match=f"reading adapters: .*{said}"):
        log.poll(0.1)


def test_a_compression_that_no_client_knows_is_told_as_it_is() -> None:
    error = UnsupportedCodecError("Unrecognized compression type: 6")
    feed = KafkaTriggerFeed(SETTINGS, CODEC, "test", connect=given_out(FakeConsumer([error])))
    with pytest.raises(UserError, match="type: 6; no client here knows that compression"):
        feed.poll(0.1, 1)
