"""What a serving worker is handed while more waits than it takes: over a consumer that is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kafka import TopicPartition

from streamrec.core.events import Kind, Request, UserUpdate
from streamrec.infra.feeds.trigger_feed import AHEAD, KafkaTriggerFeed
from streamrec.settings import KafkaSettings
from tests.harness.codec import wire_codec
from tests.unit.infra.test_garbled_answers import FakeConsumer, given_out, message

CODEC, SETTINGS = wire_codec(), KafkaSettings(bootstrap="nowhere:9092")
REQUESTS, UPDATES = (TopicPartition(f"streamrec.{t}", 0) for t in ("requests", "user-updates"))
UPDATE = UserUpdate("ana", "i1", Kind.CLICK, 0, 7, 10, 20, 30)


class Consumer(FakeConsumer):
    """Of both topics; notes what is stopped."""

    stopped: frozenset[TopicPartition] = frozenset()

    def assignment(self) -> set[TopicPartition]:
        return {REQUESTS, UPDATES}

    def paused(self) -> set[TopicPartition]:
        return set(self.stopped)

    def pause(self, *partitions: TopicPartition) -> None:
        self.stopped |= {*partitions}

    def resume(self, *partitions: TopicPartition) -> None:
        self.stopped -= {*partitions}

    def position(self, partition: TopicPartition) -> int:
        return 100_000


def request(offset: int) -> Any:
    data = CODEC.encode("requests", Request(f"r{offset}", "ana", 1_767_323_044_000))
    return message(REQUESTS.topic, offset, data)


def update(offset: int, user: str) -> Any:
    data = CODEC.encode("user-updates", replace(UPDATE, user_id=user, offset=offset))
    made = message(UPDATES.topic, offset, data)
    made.key = user.encode()
    return made


def feed_of(*polls: dict[TopicPartition, list[Any]]) -> tuple[KafkaTriggerFeed, Consumer]:
    consumer = Consumer(list(polls))
    return KafkaTriggerFeed(SETTINGS, CODEC, "test", connect=given_out(consumer)), consumer


def places(feed: KafkaTriggerFeed, limit: int) -> list[tuple[str, int]]:
    return [(m.topic[0], m.offset) for m in feed.poll(0.0, limit)]


def committed(feed: KafkaTriggerFeed, consumer: Consumer) -> dict[str, int]:
    feed.commit()
    return {place.topic: at.offset for place, at in consumer.committed[-1].items()}


def test_requests_come_before_updates_that_came_before_them() -> None:
    updates = [update(n, f"u{n}") for n in range(4)]
    feed, consumer = feed_of({UPDATES: updates}, {REQUESTS: [request(0), request(1)]})
    assert places(feed, 1) == [("u", 0)]
    assert places(feed, 3) == [("r", 0), ("r", 1), ("u", 1)]
    assert committed(feed, consumer)[UPDATES.topic] == 2
    assert places(feed, 9) == [("u", 2), ("u", 3)]


def test_an_update_is_passed_over_for_a_later_one_of_its_user_that_is_here() -> None:
    feed, consumer = feed_of(
        {UPDATES: [update(0, "ana"), update(1, "ben"), update(2, "ana"), update(3, "ana")]}
    )
    assert places(feed, 1) == [("u", 1)]
    assert feed.superseded == 1
    assert committed(feed, consumer) == {UPDATES.topic: 2}
    assert places(feed, 9) == [("u", 3)]
    assert feed.superseded == 2


def test_what_cannot_be_read_is_not_passed_over() -> None:
    broken = update(0, "ana")
    broken.value = b"broken"
    feed, _ = feed_of({UPDATES: [broken, update(1, "ana")]})
    assert places(feed, 9) == [("u", 0), ("u", 1)]


def test_of_a_topic_of_which_enough_is_held_no_more_is_read_and_of_the_other_it_is() -> None:
    feed, consumer = feed_of({UPDATES: [update(n, f"u{n}") for n in range(AHEAD + 3)]}, {}, {}, {})
    places(feed, 1)
    places(feed, 1)
    assert consumer.paused() == {UPDATES}
    places(feed, 10)
    places(feed, 1)
    assert consumer.paused() == set()


def test_what_comes_again_after_a_rebalance_is_handed_out_once() -> None:
    first = [update(n, f"u{n}") for n in range(3)]
    feed, _ = feed_of({UPDATES: first}, {UPDATES: [*first[1:], update(3, "u3")]})
    assert places(feed, 1) == [("u", 0)]
    assert places(feed, 9) == [("u", 1), ("u", 2), ("u", 3)]
