"""What the report says, and when it says that all is well."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from rich.console import Console

from streamrec.lab.drill.evidence import DrillVerdict
from streamrec.lab.drill.report import KillFacts, in_words, markdown, report
from streamrec.lab.drill.strikes import Kill
from streamrec.lab.measures.drill_check import Broken

KILLS = [
    Kill("features-1", 1_000, {}, back_ms=5_000),
    Kill("features-1", 9_000, {}, back_ms=15_000),
    Kill("redis", 20_000, {}, back_ms=22_000),
    Kill("trainer-1", 30_000, {}, again=True),
]
SIZES = dict.fromkeys(
    (
        "events",
        "users",
        "rows",
        "examples",
        "examples_sent_again",
        "requests",
        "answers",
        "generations_answering",
        "bad_messages",
        "dead_letters_sent_again",
    ),
    7,
)


def facts() -> KillFacts:
    return KillFacts(seed=1, seconds=60.0, kafka="apache-kafka", promises={"redis": "a second"})


def verdict() -> DrillVerdict:
    return DrillVerdict(sizes=SIZES)


def test_kills_and_times_by_worker() -> None:
    found = report(KILLS, verdict(), facts())
    assert found["ok"]
    assert found["kills"] == 4
    assert found["recovery_s"]["p50"] == 4.0
    assert found["by_worker"]["features-1"] == {
        "kills": 2,
        "recovery_s": {"p50": 5.0, "p95": 5.9, "p100": 6.0},
    }
    assert found["by_worker"]["trainer-1"]["recovery_s"]["p50"] is None
    assert found["killed_again_before_back"] == 1
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    "broken",
    [Broken(lost=1), Broken(doubled=1), Broken(different=["user u1"])],
)
def test_one_broken_promise_is_enough(broken: Broken) -> None:
    found = report(KILLS, DrillVerdict(training=broken, sizes=SIZES), facts())
    assert not found["ok"]
    assert (found["lost"], found["doubled"]) == (broken.lost, broken.doubled)


def test_mixed_lists_and_unfinished_work_are_not_well() -> None:
    assert not report(KILLS, DrillVerdict(mixed=["request:r1"], sizes=SIZES), facts())["ok"]
    unfinished = facts()
    unfinished.not_finished = "3 behind on events"
    assert not report(KILLS, verdict(), unfinished)["ok"]


def test_people_read_the_same_in_a_terminal_and_in_a_file() -> None:
    found = report(KILLS, DrillVerdict(state=Broken(2, 0, ["user u1"]), sizes=SIZES), facts())
    terminal = Console(file=StringIO(), width=200)
    terminal.print(in_words(found))
    shown = terminal.file.getvalue()  # type: ignore[attr-defined]
    for text in (shown, markdown(found)):
        assert "lost 2, doubled 0, mixed 0" in text
        assert "redis: a second" in text
        assert "BROKEN, user state and item statistics: user u1" in text
    assert "| features-1 | 2 | 5.0 | 5.9 | 6.0 |" in markdown(found)
