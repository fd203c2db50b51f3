"""Messages reach the loop watch in the order of their Kafka timestamps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streamrec.core import topics
from streamrec.core.events import (
    DeadLetter,
    Interaction,
    Kind,
    Recommendation,
    RecommendedItem,
    Trigger,
    UserUpdate,
)
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import Action, ControlRecord, RegistryState
from streamrec.errors import Malformed
from streamrec.infra.stores.registry_store import DirectoryRegistry
from streamrec.lab.demo.watcher import HELD_BACK_MS, Watcher, manifest_offsets
from streamrec.ports import FollowedRecord


class FakeFollower:
    def __init__(self) -> None:
        self.coming: list[FollowedRecord] = []

    def poll(self, timeout_s: float) -> list[FollowedRecord]:
        came, self.coming = self.coming, []
        return came


def watched(trained: Mapping[str, int] | None = None) -> tuple[Watcher, FakeFollower]:
    follower = FakeFollower()
    return Watcher(follower, lambda _generation: trained or {}), follower


def click(item: str, offset: int, at_ms: int) -> FollowedRecord:
    event = Interaction(f"e{offset}", "ann", item, Kind.CLICK, 0)
    return FollowedRecord(topics.EVENTS, 0, offset, at_ms, event)


def listed(item: str, at_ms: int) -> FollowedRecord:
    message = Recommendation(
        f"r{at_ms}",
        "ann",
        (RecommendedItem(item, 0.5),),
        "g1",
        {},
        Trigger.USER_UPDATE,
        "0-0",
        at_ms - 20,
        1,
        at_ms,
        "s1",
    )
    return FollowedRecord(topics.RECOMMENDATIONS, 0, 0, at_ms, message)


def control(action: Action, champion: str, revision: int, at_ms: int) -> FollowedRecord:
    record = ControlRecord(action, "t", "", 0, RegistryState(revision, champion), champion)
    return FollowedRecord(topics.ADAPTERS, 0, revision, at_ms, record)


def test_a_list_read_late_but_written_before_the_click_counts() -> None:
    watcher, follower = watched()
    follower.coming = [click("a", 0, at_ms=2_000)]
    watcher.poll(2_010, 0)
    follower.coming = [listed("a", at_ms=1_990)]
    watcher.poll(2_020, 0)
    watcher.poll(2_000 + HELD_BACK_MS, 0)
    assert watcher.loop.quality.served_ranks == [0]


def test_a_list_written_after_the_click_does_not_count() -> None:
    watcher, follower = watched()
    follower.coming = [listed("a", at_ms=2_001), click("a", 0, at_ms=2_000)]
    watcher.poll(5_000, 0)
    assert watcher.loop.quality.served_ranks == []


def test_every_topic_is_counted() -> None:
    watcher, follower = watched({"0": 1})
    letter = DeadLetter("events", 0, 1, None, b"junk", "malformed", "no", 0)
    update = UserUpdate("ann", "a", Kind.CLICK, 0, 0, 0, 100, 110)
    follower.coming = [
        click("a", 0, 100),
        FollowedRecord(topics.EVENTS, 0, 1, 101, Malformed("junk")),
        FollowedRecord(topics.USER_UPDATES, 0, 0, 110, update),
        FollowedRecord(topics.DEAD_LETTER, 0, 0, 120, letter),
        control(Action.ACTIVATE, "g1", 1, 130),
        listed("b", 140),
    ]
    watcher.poll(9_999, 0)
    loop = watcher.loop
    assert (loop.produced, loop.applied, loop.dead_letters, loop.published) == (2, 1, 1, 1)
    assert loop.walk.mixed == 0
    assert loop.freshness_s == [0.03]


def test_a_control_record_that_lost_its_race_is_ignored() -> None:
    watcher, follower = watched()
    follower.coming = [
        control(Action.ACTIVATE, "g1", 1, 100),
        control(Action.ACTIVATE, "g2", 1, 110),
    ]
    watcher.poll(9_999, 0)
    assert watcher.loop.champion == "g1"
    assert len(watcher.records) == 1


def test_trained_through_is_what_the_manifest_says(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    spans = {"0": (5, 9), "3": (0, 2)}
    manifest = Manifest("g1", None, "e", "base", "d", "f", 0, offsets=spans)
    (made / "manifest.json").write_text(manifest.to_json())
    store = DirectoryRegistry(tmp_path / "registry")
    store.put("g1", made)
    trained_through = manifest_offsets(store)
    assert trained_through("g1") == {"0": 9, "3": 2}
    assert trained_through("g9") == {}
