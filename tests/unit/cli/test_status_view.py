"""What ``status`` shows of one task, and of several."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from streamrec.apps import status_fields
from streamrec.apps.status import ChampionStatus, Flow, LoopSnapshot, TaskSnapshot
from streamrec.cli import status
from streamrec.cli.clocks_view import clock_troubles
from streamrec.core.release.registry import Action, ControlRecord, Pin, RegistryState
from streamrec.infra.stores.redis_memory import StateMemory
from streamrec.ports import WorkerStatus

WORKERS = (
    WorkerStatus("features-1", "features", "h", 1, 0, 9_000),
    WorkerStatus("serving-1", "serving", "h", 2, 0, 9_000, active="g2"),
)
RELEASED = ControlRecord(Action.ACTIVATE, "trainer-1", "better", 0, RegistryState(4, "g2", ("g1",)))
RANKING = TaskSnapshot("ranking", ChampionStatus(RELEASED, 5_000, 12))
PINNED = RegistryState(2, "g7", pin=Pin("guard", "slow", 8_000))
COPY = TaskSnapshot(
    "copy", ChampionStatus(ControlRecord(Action.ROLLBACK, "guard", "slow", 8_000, PINNED))
)
COPIES = WorkerStatus("serving-copy", "serving", "h", 3, 0, 9_000, active="g7", task="copy")


def snapshot(*tasks: TaskSnapshot, workers: tuple[WorkerStatus, ...] = WORKERS) -> LoopSnapshot:
    return LoopSnapshot(10_000, (Flow("events", 30, 20),), workers, tasks)


def shown(look: LoopSnapshot) -> str:
    console = Console(file=StringIO(), width=200)
    console.print(status.picture(look, look))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_ranking_alone_names_no_task() -> None:
    text = shown(snapshot(RANKING))
    assert "champion g2, made 5.0 s ago, 12 applied events not learned yet" in text
    assert "ranking" not in text
    assert "task" not in text


def test_of_several_tasks_each_has_its_champion_and_workers() -> None:
    text = shown(snapshot(RANKING, COPY, workers=(*WORKERS, COPIES)))
    assert "ranking: champion g2, made" in text
    assert "copy: champion g7, pinned by guard (slow)" in text
    assert "copy: rollback by guard 2.0 s ago: slow" in text
    serving = {line.split()[0]: line.split() for line in text.splitlines() if "serving" in line}
    assert serving["serving-1"][1:3] == ["ranking", "g2"]
    assert serving["serving-copy"][1:3] == ["copy", "g7"]


def test_a_task_without_a_champion_says_so() -> None:
    assert "copy: no champion yet" in shown(snapshot(RANKING, TaskSnapshot("copy")))


def test_a_script_finds_ranking_where_it_was_and_every_task_by_name() -> None:
    look = snapshot(RANKING, COPY, workers=(COPIES,))
    told = status_fields.fields(look, look)
    assert told["champion"]["generation"] == "g2"
    assert told["champion"] == told["tasks"]["ranking"]["champion"]
    assert told["tasks"]["copy"]["champion"]["pin"]["actor"] == "guard"
    assert told["topics"][0] == {
        "topic": "events", "written": 30, "read": 20, "lag": 10, "held": 0,
        "per_second": 0.0,
    }  # fmt: skip
    assert [worker["task"] for worker in told["workers"]] == ["copy"]


def test_nothing_is_released_yet() -> None:
    look = snapshot(TaskSnapshot("ranking"), workers=())
    assert "no champion yet" in shown(look)
    assert "no worker is alive" in shown(look)
    assert status_fields.fields(look, look)["champion"] is None


@pytest.mark.parametrize(
    ("memory", "said"),
    [
        (
            StateMemory(250_000_000, 1_000_000_000, True, 40_000, 5_321, 1_000.0, 7_200.0),
            "Redis: 250.0 MB of 1,000.0 MB (maxmemory); 40,000 users, 5,321 bytes each; "
            "full in 9 days at the rate in the last 2 h",
        ),
        (StateMemory(1, 10_000_000, False, 0, 0), "(the machine's: maxmemory is not set)"),
        (StateMemory(1, 10, True, 1, 9, -1.0, 600.0), "it has not grown in the last 10 min"),
        (StateMemory(0, 72_000, True, 1, 9, 5.0, 600.0), "full in 4.0 hours"),
    ],
)
def test_what_redis_holds_and_when_it_is_full(memory: StateMemory, said: str) -> None:
    look = replace(snapshot(RANKING), memory=memory)
    assert said in shown(look)
    assert status_fields.fields(look, look)["memory"]["users"] == memory.users


def test_each_partition_says_what_time_it_is_and_whose_clock_was_not_believed() -> None:
    odd = {"ahead": 3.0, "clipped": 2.0, "returns": 1.0, "refused": 4.0}
    sane = dict.fromkeys(odd, 0.0)
    gauges = {
        **{f"clock/1/{name}": value for name, value in {**odd, "event_time_ms": 8_000.0}.items()},
        **{f"clock/0/{name}": value for name, value in {**sane, "event_time_ms": 9_000.0}.items()},
    }
    look = snapshot(RANKING, workers=(replace(WORKERS[0], gauges=gauges), WORKERS[1]))
    lines = [line.split() for line in shown(look).splitlines()]
    assert ["0", "1970-01-01", "00:00:09", "1.0", "s", "ago", "0", "0", "0", "0"] in lines
    assert ["1", "1970-01-01", "00:00:08", "2.0", "s", "ago", "3", "2", "1", "4"] in lines
    assert "clock/" not in shown(look)
    (_, told) = status_fields.fields(look, look)["clocks"]
    assert told == {"partition": 1, "event_time_ms": 8_000, **{k: int(v) for k, v in odd.items()}}
    ((said, _),) = clock_troubles(look.workers, look.at_ms)
    assert "partition 1: 3 events ahead of the others" in said
    assert "stands 3 min in the future" in clock_troubles(look.workers, 9_000 - 180_000)[0][0]
