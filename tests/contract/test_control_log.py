"""One contract for every control log: the fake, Apache Kafka, the embedded broker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from streamrec.core.release import registry, transitions
from streamrec.core.release.registry import Action, ControlRecord, Pin, RegistryState
from streamrec.errors import RegistryConflict, Unavailable
from streamrec.infra.stores.control_log import SLOT, KafkaControlLog
from streamrec.infra.wire.codec import WireCodec
from streamrec.ports import ControlLog
from tests.fakes.control import SharedLog
from tests.harness.waiting import eventually

KINDS = [
    "fake",
    pytest.param("apache_kafka", marks=pytest.mark.apache_kafka),
    pytest.param("embedded_kafka", marks=pytest.mark.embedded),
]


class Topic:
    """A fresh control topic on a broker."""

    def __init__(self, bootstrap: str, prefix: str, stack: ExitStack) -> None:
        self.config = {"bootstrap_servers": bootstrap}
        self.prefix, self._stack = prefix, stack
        self.partition = TopicPartition(prefix + "adapters", 0)
        admin = KafkaAdminClient(**self.config)
        stack.callback(admin.close)
        spec = {"num_partitions": 1, "replication_factor": 1}
        admin.create_topics({self.partition.topic: spec}, wait_for_metadata=True)

    def reader(
        self, observe: Callable[[ControlRecord], object] = lambda _: None
    ) -> KafkaControlLog:
        log = KafkaControlLog(self.config, WireCodec(), self.prefix, observe=observe)
        return self._stack.enter_context(log)

    def last_record(self) -> ControlRecord:
        """What compaction would leave."""
        consumer = KafkaConsumer(**self.config)
        self._stack.callback(consumer.close)
        consumer.assign([self.partition])
        consumer.seek(self.partition, consumer.end_offsets([self.partition])[self.partition] - 1)
        while not (fetched := consumer.poll(timeout_ms=500)):
            pass
        return WireCodec().decode("adapters", fetched[self.partition][-1].value)

    def write_raw(self, value: bytes) -> None:
        producer = KafkaProducer(**self.config)
        self._stack.callback(producer.close)
        producer.send(self.partition.topic, value, SLOT, partition=0).get(10)


@pytest.fixture
def topic(request, fresh_prefix) -> Iterator[Topic]:
    with ExitStack() as stack:
        yield Topic(request.getfixturevalue(request.param), fresh_prefix.topic, stack)


@pytest.fixture(params=KINDS)
def new_reader(request, fresh_prefix) -> Iterator[Callable[..., ControlLog]]:
    with ExitStack() as stack:
        if request.param == "fake":
            yield SharedLog().reader
        else:
            bootstrap = request.getfixturevalue(request.param)
            yield Topic(bootstrap, fresh_prefix.topic, stack).reader


def act(log: ControlLog, generation: str, actor: str = "ana") -> RegistryState:
    """Read, decide, write: the state written."""
    latest = log.latest()
    state = transitions.activate(latest.state if latest else RegistryState(), generation)
    log.append(ControlRecord(Action.ACTIVATE, actor, "why not", 12, state, generation, "d1"))
    return state


def test_an_empty_log_says_nothing(new_reader) -> None:
    log = new_reader()
    assert log.latest() is None
    assert log.poll(0.01) is None
    assert log.records() == []


def test_every_accepted_record_is_told_not_only_the_newest(new_reader) -> None:
    told: list[str | None] = []
    writer = new_reader()
    act(writer, "g1")
    act(writer, "g2")
    reader = new_reader(lambda record: told.append(record.generation))
    reader.latest()
    assert told == ["g1", "g2"]
    act(writer, "g3")
    act(writer, "g4")
    while reader.poll(0.1) is not None:
        pass
    assert told == ["g1", "g2", "g3", "g4"]


def test_what_is_appended_comes_back_whole(new_reader) -> None:
    log = new_reader()
    state = transitions.rollback(
        transitions.activate(transitions.activate(RegistryState(), "g1"), "g2"), Pin("ana", "no", 3)
    )
    record = ControlRecord(Action.ROLLBACK, "ana", "clicks fell", 12, state, "g1", "d1")
    log.append(record)
    assert log.latest() == record
    assert new_reader().latest() == record


def test_a_late_starter_sees_the_newest_state_and_the_whole_story(new_reader) -> None:
    writer = new_reader()
    for generation in ("g1", "g2", "g3"):
        act(writer, generation)
    late = new_reader()
    assert late.latest().state == RegistryState(3, "g3", ("g1", "g2"))
    assert [record.generation for record in late.records()] == ["g1", "g2", "g3"]
    assert late.latest().state.champion == "g3"


def test_news_wakes_a_waiting_reader(new_reader) -> None:
    reader, writer = new_reader(), new_reader()
    reader.latest()
    later = threading.Timer(0.2, act, (writer, "g1"))
    later.start()
    record = eventually(lambda: reader.poll(1.0))
    later.join()
    assert record.state.champion == "g1"
    assert reader.poll(0.01) is None


def test_the_second_of_two_writers_is_refused_and_can_try_again(new_reader) -> None:
    ours, theirs = new_reader(), new_reader()
    act(ours, "g1")
    theirs.latest()
    stale = theirs.latest().state
    act(ours, "g2")
    record = ControlRecord(Action.ACTIVATE, "ben", "", 1, transitions.activate(stale, "g9"), "g9")
    with pytest.raises(RegistryConflict) as conflict:
        theirs.append(record)
    assert conflict.value.expected == 1
    assert conflict.value.actual >= 2
    assert new_reader().latest().state.champion == "g2"
    assert act(theirs, "g9").champion == "g9"
    assert ours.latest().state.champion == "g9"


def test_writers_at_once_agree_on_one_order(new_reader) -> None:
    readers = [new_reader() for _ in range(3)]
    won: list[int] = []

    def write(log: ControlLog, name: str) -> None:
        for turn in range(4):
            try:
                won.append(act(log, f"{name}{turn}").revision)
            except RegistryConflict:
                continue

    threads = [
        threading.Thread(target=write, args=(log, name))
        for log, name in zip(readers, "abc", strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(won)) == len(won) > 0
    assert len({log.latest().state for log in [*readers, new_reader()]}) == 1


@pytest.mark.parametrize("topic", KINDS[1:], indirect=True)
def test_a_loser_leaves_the_accepted_state_last_in_the_log(topic) -> None:
    ours, theirs = topic.reader(), topic.reader()
    act(ours, "g1")
    theirs.latest()
    accepted = act(ours, "g2")
    stale = transitions.activate(RegistryState(1, "g1"), "g9")
    with pytest.raises(RegistryConflict):
        theirs.append(ControlRecord(Action.ACTIVATE, "ben", "", 1, stale, "g9"))
    last = topic.last_record()
    assert last.action is Action.REPAIR
    assert last.state == registry.repair(accepted)


@pytest.mark.parametrize("topic", KINDS[1:], indirect=True)
def test_bytes_that_are_no_record_are_stepped_over(topic, caplog) -> None:
    log = topic.reader()
    act(log, "g1")
    topic.write_raw(b"\xc3\x01 not avro")
    assert log.latest().state.champion == "g1"
    assert "is ignored" in caplog.text
    assert act(log, "g2").champion == "g2"


@pytest.mark.apache_kafka
def test_a_missing_topic_says_what_to_do(apache_kafka, fresh_prefix) -> None:
    config = {"bootstrap_servers": apache_kafka, "allow_auto_create_topics": False}
    with (
        KafkaControlLog(config, WireCodec(), fresh_prefix.topic, timeout_s=1.0) as log,
        pytest.raises(Unavailable, match="topics create"),
    ):
        log.latest()
