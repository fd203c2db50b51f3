"""One contract for every control log: the fake, Apache Kafka, the embedded broker."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release import registry, transitions
from streamrec.core.release.registry import Action, ControlRecord, Pin, RegistryState
from streamrec.core.tasks import RANKING
from streamrec.errors import RegistryConflict, Unavailable
from streamrec.infra.stores.control_log import KafkaControlLog
from streamrec.loop.releasing.release import ReleaseService
from streamrec.ports import ControlLog
from tests.fakes.clock import FakeClock
from tests.fakes.control import SharedLog
from tests.fakes.fleet import FakeFleet
from tests.fakes.registry import FakeRegistryStore
from tests.harness.codec import wire_codec
from tests.harness.kinds import KAFKAS
from tests.harness.waiting import eventually

FIXTURES = Path(__file__).parents[1] / "fixtures"
KINDS = ["fake", *KAFKAS]


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
        self,
        observe: Callable[[ControlRecord], object] = lambda _: None,
        task: str = RANKING,
    ) -> KafkaControlLog:
        log = KafkaControlLog(self.config, wire_codec(), self.prefix, observe=observe, task=task)
        return self._stack.enter_context(log)

    def last_record(self) -> ControlRecord:
        """What compaction would leave."""
        return wire_codec().decode("adapters", self.messages()[-1][1])

    def messages(self) -> list[tuple[bytes, bytes]]:
        """Key and value of every message."""
        consumer = KafkaConsumer(**self.config)
        self._stack.callback(consumer.close)
        consumer.assign([self.partition])
        consumer.seek(self.partition, 0)
        end, found = consumer.end_offsets([self.partition])[self.partition], []
        while len(found) < end:
            for message in consumer.poll(timeout_ms=500).get(self.partition, []):
                found.append((message.key, message.value))
        return found

    def write_raw(self, value: bytes, slot: bytes = b"default") -> None:
        producer = KafkaProducer(**self.config)
        self._stack.callback(producer.close)
        producer.send(self.partition.topic, value, slot, partition=0).get(10)

    def compacted(self) -> Topic:
        """Another topic, with what compaction at its strictest leaves of this one."""
        bootstrap = self.config["bootstrap_servers"]
        left = Topic(bootstrap, f"compacted.{self.prefix}", self._stack)
        for slot, value in dict(self.messages()).items():
            left.write_raw(value, slot)
        return left


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


@pytest.mark.parametrize("topic", KAFKAS, indirect=True)
def test_a_log_that_version_01_wrote_is_read_as_it_is_and_continued(topic) -> None:
    """``fixtures/control_log_0_1.json``: the messages, as its code made them."""
    written = json.loads((FIXTURES / "control_log_0_1.json").read_text())
    for message in written["messages"]:
        topic.write_raw(base64.b64decode(message["value"]), message["key"].encode())
    log = topic.reader()
    latest = log.latest()
    assert (latest.state.champion, latest.state.revision) == ("g000001-00000001", 12)
    assert latest.state.quarantine == (Quarantine(0, 120, 150), Quarantine(1, 5, 9, "ann"))
    assert len(log.records()) == len(written["messages"])
    assert log.tasks() == [RANKING]
    act(topic.reader(task="copy"), "c1")
    assert act(log, "g000009-99999999").history[-1] == "g000001-00000001"


# -- a step that is decided again -------------------------------------------------------


class Overtaken:
    """A log in which somebody else acts between our first read and our append."""

    def __init__(self, log: ControlLog, first: Callable[[], object]) -> None:
        self._log, self._first = log, first
        self.prepare, self.latest, self.records = log.prepare, log.latest, log.records

    def append(self, record: ControlRecord) -> None:
        first, self._first = self._first, lambda: None
        first()
        self._log.append(record)


def service(log: ControlLog, actor: str) -> ReleaseService:
    return ReleaseService(log, FakeFleet(), FakeRegistryStore(Path()), FakeClock(), actor)


def step(log: ControlLog, action: Action, change: Callable[[RegistryState], RegistryState]) -> None:
    log.prepare()
    record = ControlRecord(action, "trainer-1", "its turn", 1, change(log.latest().state), "g9")
    log.append(record)


def candidates(trainer: ControlLog) -> None:
    """What a trainer does all day: one filed, one staged; and a race of its own."""
    step(trainer, Action.REJECT, lambda s: transitions.reject(s, "g9"))
    step(trainer, Action.STAGE, lambda s: transitions.stage(s, "g9"))
    step(trainer, Action.REPAIR, registry.repair)


COMMANDS = {
    "rollback": lambda ours: ours.rollback("odd lists"),
    "rollback --to": lambda ours: ours.rollback("odd lists", "g1"),
    "pin": lambda ours: ours.pin("the weekend"),
    "relearn": lambda ours: ours.relearn("a bot", "g1", [Quarantine(0, 1, 2)]),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_trainers_candidate_in_between_stops_no_operator(new_reader, command: str) -> None:
    ours, trainer = new_reader(), new_reader()
    for generation in ("g1", "g2"):
        act(ours, generation)
    COMMANDS[command](service(Overtaken(ours, lambda: candidates(trainer)), "ana"))
    state = new_reader().latest().state
    assert (state.pin or state.relearn) is not None
    assert state.champion == ("g2" if command == "pin" else "g1")


def test_a_champion_of_the_trainers_goes_with_what_a_named_rollback_takes_back(new_reader) -> None:
    ours, trainer = new_reader(), new_reader()
    for generation in ("g1", "g2"):
        act(ours, generation)
    service(Overtaken(ours, lambda: act(trainer, "g3", "trainer-1")), "ana").rollback("no", "g1")
    assert new_reader().latest().state.champion == "g1"


@pytest.mark.parametrize(
    ("command", "first"),
    [
        ("rollback", lambda other: other.rollback("mine was first")),
        ("rollback --to", lambda other: other.rollback("mine was first")),
        ("pin", lambda other: other.pin("mine was first")),
        ("relearn", lambda other: other.relearn("mine was first", "g2", [Quarantine(0, 5, 9)])),
    ],
    ids=["rollback", "rollback --to", "pin", "relearn"],
)
def test_another_operators_step_is_told_and_stands(new_reader, command: str, first) -> None:
    ours, theirs = new_reader(), service(new_reader(), "ben")
    for generation in ("g1", "g2", "g3"):
        act(ours, generation)
    with pytest.raises(RegistryConflict, match=r"by ben \(mine was first\)"):
        COMMANDS[command](service(Overtaken(ours, lambda: first(theirs)), "ana"))
    newest = new_reader().latest()
    assert (newest.state.pin.actor if newest.state.pin else "ben") == "ben"
    assert newest.state.champion in ("g2", "g3")


# -- a slot for each task ---------------------------------------------------------------


def test_each_task_has_a_champion_of_its_own_in_one_log(new_reader) -> None:
    told: list[str | None] = []
    ranking = new_reader()
    copy = new_reader(lambda record: told.append(record.generation), task="copy")
    for n in range(3):
        act(ranking, f"r{n}")
        act(copy, f"c{n}")
    assert ranking.latest().state == RegistryState(3, "r2", ("r0", "r1"))
    assert copy.latest().state == RegistryState(3, "c2", ("c0", "c1"))
    assert told == ["c0", "c1", "c2"]
    assert [record.generation for record in new_reader().records()] == ["r0", "r1", "r2"]
    assert [record.generation for record in new_reader(task="copy").records()] == told


def test_news_of_another_task_is_no_news(new_reader) -> None:
    ranking, copy = new_reader(), new_reader(task="copy")
    ranking.latest()
    act(copy, "c0")
    assert ranking.poll(0.2) is None
    assert new_reader().latest() is None


def test_the_log_names_the_tasks_it_knows(new_reader) -> None:
    reader = new_reader()
    assert reader.tasks() == []
    act(new_reader(task="replies"), "g1")
    assert reader.tasks() == ["replies"]
    act(reader, "g1")
    act(new_reader(task="copy"), "g1")
    assert reader.tasks() == ["copy", RANKING, "replies"]


def test_writers_of_two_tasks_do_not_race(new_reader) -> None:
    """Both write the revision after the one they read, and both are right."""
    ranking, copy = new_reader(), new_reader(task="copy")
    act(ranking, "r0")
    act(copy, "c0")
    state = transitions.activate(ranking.latest().state, "r1")
    act(copy, "c1")
    act(copy, "c2")
    ranking.append(ControlRecord(Action.ACTIVATE, "ana", "", 1, state, "r1"))
    assert new_reader().latest().state == RegistryState(2, "r1", ("r0",))
    assert new_reader(task="copy").latest().state == RegistryState(3, "c2", ("c0", "c1"))


def test_a_race_within_one_task_is_repaired_in_its_slot(new_reader) -> None:
    ours, theirs, ranking = (new_reader(task=task) for task in ("copy", "copy", RANKING))
    act(ours, "c1")
    stale = theirs.latest().state
    act(ours, "c2")
    act(ranking, "r1")
    lost = ControlRecord(Action.ACTIVATE, "ben", "", 1, transitions.activate(stale, "c9"), "c9")
    with pytest.raises(RegistryConflict) as conflict:
        theirs.append(lost)
    assert (conflict.value.expected, conflict.value.actual) == (1, 3)
    last = new_reader(task="copy").records()[-1]
    assert (last.action, last.state.champion) == (Action.REPAIR, "c2")
    assert [record.generation for record in new_reader().records()] == ["r1"]


@pytest.mark.parametrize("topic", KAFKAS, indirect=True)
def test_compaction_leaves_every_tasks_champion(topic) -> None:
    ours, theirs = topic.reader(task="copy"), topic.reader(task="copy")
    act(topic.reader(), "r1")
    act(ours, "c1")
    stale = theirs.latest().state
    act(ours, "c2")
    lost = ControlRecord(Action.ACTIVATE, "b", "", 1, transitions.activate(stale, "c9"), "c9")
    with pytest.raises(RegistryConflict):
        theirs.append(lost)
    act(topic.reader(), "r2")
    left = topic.compacted()
    assert len(left.messages()) == 2
    assert left.reader().latest().state == RegistryState(2, "r2", ("r1",))
    assert left.reader(task="copy").latest().state.champion == "c2"


@pytest.mark.parametrize("topic", KAFKAS, indirect=True)
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


@pytest.mark.parametrize("topic", KAFKAS, indirect=True)
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
        KafkaControlLog(config, wire_codec(), fresh_prefix.topic, timeout_s=1.0) as log,
        pytest.raises(Unavailable, match="topics create"),
    ):
        log.latest()
