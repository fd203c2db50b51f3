"""One contract for every trigger feed: the fake, Apache Kafka, the embedded broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from streamrec.core.events import Kind, Request, UserUpdate
from streamrec.core.tasks import RANKING
from streamrec.errors import Refused
from streamrec.infra.feeds.trigger_feed import KafkaTriggerFeed
from streamrec.infra.wire.kafka import KafkaPublisher
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.ports import Delivered, TriggerFeed
from streamrec.settings import KafkaSettings
from tests.fakes.serving import FakeTriggerFeed
from tests.harness.codec import wire_codec
from tests.harness.kinds import KAFKAS
from tests.harness.waiting import eventually

CODEC = wire_codec()
REQUEST = Request("r1", "ana", 1_767_323_044_000, k=4)
UPDATE = UserUpdate("ana", "i1", Kind.CLICK, 1, 7, 10, 20, 30)


class FakeTopic:
    def __init__(self) -> None:
        self._feed = FakeTriggerFeed()

    def send(self, topic: str, value: bytes) -> None:
        try:
            decoded = CODEC.decode(topic, value)
        except Refused as refused:
            decoded = refused
        offset = sum(message.topic == topic for message in self._feed.messages)
        self._feed.send(Delivered(topic, 0, offset, 1, b"ana", value, decoded))

    def member(self) -> TriggerFeed:
        self._feed.restart()
        return self._feed

    def dies(self) -> None:
        """The member is gone; what it had not committed is another's."""


class KafkaTopic:
    def __init__(self, bootstrap: str, prefix: str, stack: ExitStack) -> None:
        self._settings = KafkaSettings(bootstrap=bootstrap, topic_prefix=prefix, partitions=1)
        create_topics(self._settings)
        self._publisher = KafkaPublisher(self._settings, "test")
        stack.callback(self._publisher.close)
        self._stack = stack

    def send(self, topic: str, value: bytes, key: str = "ana") -> None:
        self._publisher.publish(topic, key.encode(), value)
        self._publisher.flush()

    def member(self, task: str = RANKING) -> TriggerFeed:
        self._feed = KafkaTriggerFeed(self._settings, CODEC, "serving-1", task=task)
        self._stack.callback(self._feed.close)
        return self._feed

    def dies(self) -> None:
        self._feed.close()


KINDS = ["fake", *KAFKAS]


@pytest.fixture(params=KINDS)
def topic(request, fresh_prefix) -> Iterator[FakeTopic | KafkaTopic]:
    with ExitStack() as stack:
        if request.param == "fake":
            yield FakeTopic()
        else:
            yield KafkaTopic(request.getfixturevalue(request.param), fresh_prefix.topic, stack)


def take(feed: TriggerFeed, count: int, limit: int = 100) -> list[Delivered]:
    """Exactly so many messages, and no more than ``limit`` at once."""
    taken: list[Delivered] = []

    def all_came() -> bool:
        polled = feed.poll(0.1, limit)
        assert len(polled) <= limit
        taken.extend(polled)
        return len(taken) >= count

    eventually(all_came, what=lambda: f"{len(taken)} of {count} came")
    assert len(taken) == count
    return taken


def send_requests(topic: FakeTopic | KafkaTopic, *names: str) -> None:
    for name in names:
        topic.send("requests", CODEC.encode("requests", replace(REQUEST, request_id=name)))


def names(messages: list[Delivered]) -> list[str]:
    return [message.value.request_id for message in messages]


def test_both_topics_come_decoded_and_with_their_coordinates(topic) -> None:
    topic.send("requests", CODEC.encode("requests", REQUEST))
    topic.send("user-updates", CODEC.encode("user-updates", UPDATE))
    got = {message.topic: message for message in take(topic.member(), 2)}
    assert got["requests"].value == REQUEST
    assert got["user-updates"].value == UPDATE
    assert (got["requests"].partition, got["requests"].offset) == (0, 0)
    assert got["requests"].key == b"ana"
    assert got["requests"].timestamp_ms > 0


def test_what_cannot_be_read_is_delivered_as_refused_with_its_bytes(topic) -> None:
    topic.send("requests", b"{broken")
    (message,) = take(topic.member(), 1)
    assert isinstance(message.value, Refused)
    assert message.data == b"{broken"


def test_messages_come_in_order_at_most_as_many_as_wanted(topic) -> None:
    send_requests(topic, *"abcdefg")
    assert names(take(topic.member(), 7, limit=3)) == list("abcdefg")


def test_what_was_not_committed_comes_again_to_the_next_member(topic) -> None:
    send_requests(topic, *"abcd")
    first = topic.member()
    take(first, 2, limit=2)
    first.commit()
    take(first, 2, limit=2)
    topic.dies()
    assert names(take(topic.member(), 2)) == ["c", "d"]


def test_a_commit_covers_what_was_handed_out_and_nothing_else(topic) -> None:
    send_requests(topic, *"abcd")
    first = topic.member()
    first.commit()
    take(first, 1, limit=1)
    first.commit()
    first.commit()
    topic.dies()
    assert names(take(topic.member(), 3)) == ["b", "c", "d"]


def test_staying_takes_nothing_and_loses_nothing(topic) -> None:
    feed = topic.member()
    send_requests(topic, *"abc")
    for _ in range(5):
        feed.stay(0.05)
    assert names(take(feed, 3, limit=2)) == ["a", "b", "c"]
    send_requests(topic, *"de")
    feed.stay(0.2)
    assert names(take(feed, 2)) == ["d", "e"]


def test_lag_is_what_was_not_handed_out(topic) -> None:
    send_requests(topic, *"abcde")
    feed = topic.member()
    take(feed, 2, limit=2)
    assert Counter(feed.lag()) == Counter(requests=3)
    take(feed, 3)
    assert not any(feed.lag().values())


@pytest.mark.parametrize("topic", KAFKAS, indirect=True)
def test_each_task_gets_every_trigger_and_commits_for_itself(topic) -> None:
    send_requests(topic, *"ab")
    ranking = topic.member()
    take(ranking, 2)
    ranking.commit()
    copy = topic.member("copy")
    assert names(take(copy, 2)) == ["a", "b"]
    send_requests(topic, "c")
    assert names(take(copy, 1)) == names(take(ranking, 1)) == ["c"]


def send_updates(topic: KafkaTopic, *users: str) -> None:
    for offset, user in enumerate(users):
        update = replace(UPDATE, user_id=user, offset=offset)
        topic.send("user-updates", CODEC.encode("user-updates", update), user)


@pytest.mark.parametrize("topic", KAFKAS, indirect=True)
def test_an_update_that_a_later_one_stands_for_is_passed_over(topic) -> None:
    send_updates(topic, "ana", "ben", "ana", "cem", "ana")
    feed = topic.member()
    assert [m.value.user_id for m in take(feed, 3, limit=2)] == ["ben", "cem", "ana"]
    assert feed.superseded == 2
    feed.commit()
    assert not any(feed.lag().values())


@pytest.mark.parametrize("topic", KAFKAS, indirect=True)
def test_what_was_passed_over_is_another_members_later_one(topic) -> None:
    send_updates(topic, "ana", "ben", "ana")
    first = topic.member()
    assert [m.value.user_id for m in take(first, 1, limit=1)] == ["ben"]
    first.commit()
    topic.dies()
    (last,) = take(topic.member(), 1)
    assert (last.value.user_id, last.offset) == ("ana", 2)
