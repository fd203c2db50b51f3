"""What an undo leaves out: times and people become offsets, by what the broker answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streamrec.apps import undo
from streamrec.apps.undo import Sources, Undo, UndoRequest
from streamrec.core import topics
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.pseudonym import pseudonym
from streamrec.core.release.registry import RegistryState
from streamrec.errors import UserError
from streamrec.infra.clock import SystemClock
from streamrec.infra.wire.kafka import partition_for
from streamrec.settings import Settings, load
from tests.fakes.generations import draft

STATE = RegistryState(7, "g4", ("g1", "g2", "g3"))
HOUR_MS = 3_600_000
U0, U1 = (next(f"u{n}" for n in range(99) if partition_for(f"u{n}", 2) == p) for p in (0, 1))
"""Users whose events are in partition 0 and 1."""


class Broker:
    """Two partitions of ``events``: one event every second since ``begin_ms``."""

    def __init__(self) -> None:
        self.begin_ms = SystemClock().now_ms() - HOUR_MS
        self.ends = {0: 3_600, 1: 3_600}
        self.first_batch = 0
        self.asked_ms: list[int] = []

    def bounds(self, _: object, names: tuple[str, ...]) -> dict[tuple[str, int], tuple[int, int]]:
        assert set(names) == {topics.EVENTS, topics.TRAINING_BATCHES}
        events = {(topics.EVENTS, p): (0, end) for p, end in self.ends.items()}
        return events | {(topics.TRAINING_BATCHES, 0): (self.first_batch, 900)}

    def since(self, _: object, topic: str, at_ms: int) -> dict[int, int]:
        assert topic == topics.EVENTS
        self.asked_ms.append(at_ms)
        found = max(0, -(-(at_ms - self.begin_ms) // 1000))
        return {p: min(found, end) for p, end in self.ends.items()}


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def trainers() -> set[str]:
    """Snapshots that they name."""
    return {"g1", "g2", "g3", "g4"}


@pytest.fixture
def sources(broker: Broker, trainers: set[str]) -> Sources:
    return Sources(
        broker.bounds, broker.since, lambda *_: trainers, lambda _, at: dict.fromkeys(at, 0)
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A registry in which each generation has learned 900 events of each partition more."""
    for n in range(1, 5):
        directory = tmp_path / "registry" / f"g{n}"
        directory.mkdir(parents=True)
        through = 900 * (n - 1)
        spans = {p: (max(0, through - 900), through) for p in ("0", "1")}
        made = draft(generation=f"g{n}", offsets=spans, training={"batches": [0, 100 * n]})
        (directory / "manifest.json").write_text(made.to_json())
    return load({"STREAMREC_STATE_DIR": str(tmp_path)})


@pytest.fixture
def plan(settings: Settings, sources: Sources) -> Callable[..., Undo]:
    return lambda *ranges, **more: undo.plan(
        settings, STATE, UndoRequest(ranges, **more), sources=sources
    )


def test_since_is_every_event_from_the_offsets_that_the_broker_names_to_the_end(plan) -> None:
    planned = plan(since="10m")
    first = planned.ranges[0].start
    assert 3_000 <= first <= 3_060  # the minute is for a busy machine
    assert planned.ranges == (Quarantine(0, first, 3_600), Quarantine(1, first, 3_600))
    assert planned.to == "g4"  # through 2,700


def test_since_goes_back_as_far_as_it_must(plan) -> None:
    assert plan(since="20m").to == "g3"
    assert plan(since="55m").to == "g1"


def test_a_partition_without_events_since_then_has_no_range(plan, broker) -> None:
    broker.ends[0] = 1_000
    assert [at.partition for at in plan(since="10m").ranges] == [1]


def test_nothing_since_then_is_said(plan, broker) -> None:
    broker.ends = {0: 10, 1: 20}
    with pytest.raises(UserError, match="no event has come since 10m"):
        plan(since="10m")


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("90s", 1_000_000_000 - 90_000),
        ("1.5h", 1_000_000_000 - 5_400_000),
        ("2d", 1_000_000_000 - 172_800_000),
        ("2026-01-31T12:00:00", int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()) * 1000),
        ("2026-01-31T13:00+01:00", int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()) * 1000),
    ],
)
def test_moments(text: str, at_ms: int) -> None:
    assert undo.moment_ms(text, 1_000_000_000) == at_ms


@pytest.mark.parametrize("text", ["soon", "10", "10 minutes", "-5m", "2026-13-01"])
def test_what_is_no_moment(plan, text: str) -> None:
    with pytest.raises(UserError, match="is no time: write 10m"):
        plan(since=text)


def test_ranges_are_taken_as_written_beside_a_time(plan) -> None:
    planned = plan("0:2000-2100", since="1m")
    assert planned.ranges[0] == Quarantine(0, 2_000, 2_100)
    assert len(planned.ranges) == 3
    assert planned.to == "g3"


def test_a_partition_that_is_not_there(plan) -> None:
    with pytest.raises(UserError, match=r"7:1-2: events has the partitions 0 to 1"):
        plan("7:1-2")


def test_a_users_part_is_only_in_the_users_partition(plan) -> None:
    (at,) = plan(since="10m", user=U1).ranges
    assert (at.partition, at.user_id, at.end) == (1, U1, 3_600)
    assert plan("0:5-9", "1:3000-3100", user=U0).ranges == (Quarantine(0, 5, 9, U0),)


def test_a_user_without_a_time_goes_back_to_the_champion_before(plan) -> None:
    planned = plan(user=U0)
    assert planned == Undo("g3", (Quarantine(0, 1_800, 3_600, U0),))
    assert plan(user=U0, to="g2") == Undo("g2", (Quarantine(0, 900, 3_600, U0),))
    with pytest.raises(UserError, match="which events of the user"):
        plan(user=U0, to="g4")  # the champion: everything that it learned stays


def test_a_range_that_holds_nothing_of_the_user_is_refused(plan, broker) -> None:
    with pytest.raises(UserError, match=f"events of {U0} are in partition 0"):
        plan("1:5-9", user=U0)
    broker.ends[0] = 1_000
    with pytest.raises(UserError, match=f"events of {U0} are in partition 0"):
        plan(since="10m", user=U0)


def test_a_person_is_known_by_the_pseudonym_that_topics_hold(
    tmp_path: Path, settings: Settings, sources: Sources
) -> None:
    key = {"STREAMREC_STATE_DIR": str(tmp_path), "STREAMREC_TRUST_PSEUDONYM_KEY": "k" * 32}
    name = pseudonym("k" * 32, "ann")
    wanted = UndoRequest(since="10m", user="ann")
    (at,) = undo.plan(load(key), STATE, wanted, sources=sources).ranges
    assert (at.user_id, at.partition) == (name, partition_for(name, 2))


def test_snapshots_are_those_that_the_trainer_names_and_those_on_this_disk(
    settings: Settings, sources: Sources
) -> None:
    (settings.state_dir / "snapshots" / "g9").mkdir(parents=True)
    assert undo.snapshots(settings, sources=sources) == {"g1", "g2", "g3", "g4", "g9"}


def test_what_cannot_be_gone_back_to_is_said_with_what_can(plan, broker, trainers) -> None:
    with pytest.raises(UserError, match=r"g4 cannot be gone back to: it has learned from .*g3"):
        plan("0:2000-2100", to="g4")
    broker.first_batch = 350
    with pytest.raises(UserError, match=r"mini-batches 300 to 349 .* are gone"):
        plan("0:2000-2100")
    broker.first_batch = 0
    trainers.clear()
    with pytest.raises(UserError, match="no snapshot of it any more"):
        plan("0:2000-2100")


def test_a_manifest_that_cannot_be_read_is_no_place_to_go_back_to(plan, settings) -> None:
    path = settings.state_dir / "registry" / "g3" / "manifest.json"
    path.write_text(json.dumps({"generation": "g3"}))
    assert plan("0:2000-2100").to == "g2"
