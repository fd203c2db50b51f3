"""Whatever somebody put into an id, a title or a reason, an operator's terminal is not steered."""

from __future__ import annotations

import json
import logging
import re
import unicodedata
import uuid
from contextlib import nullcontext
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from streamrec.apps import clients, status, users, why
from streamrec.apps import dead_letters as letters
from streamrec.cli import adapters_view, doctor, lineage_view
from streamrec.cli.app import main
from streamrec.cli.console import SafeConsole, print_errors, print_json, say, table
from streamrec.cli.doctor import CheckResult, Finding
from streamrec.core import printable
from streamrec.core.dead_letters import DeadLetterPosition, DeadLetterRecord
from streamrec.core.events import (
    DeadLetter,
    Item,
    Recommendation,
    RecommendedItem,
    Source,
    Trigger,
)
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import Action, ControlRecord, Pin, RegistryState
from streamrec.core.state.user_state import UserState
from streamrec.infra.processes.telemetry import OneLine
from streamrec.infra.wire import follower
from streamrec.lab.demo.screen import Screen
from streamrec.ports import FollowedRecord, WorkerStatus
from streamrec.settings import KafkaSettings, RedisSettings, Settings
from tests.contract.test_explanations import ONE
from tests.fakes.publisher import FakePublisher

STEERS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
TURNS = list("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
BREAKS = list("\u2028\u2029\u0085\ufeff\u200b")
HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\x9b31m\x1b]8;;http://evil\x1b\\" + "".join(STEERS + TURNS + BREAKS)
    + "\nerror: forged[link=http://evil]x[/link][red]:smile:"
)  # fmt: skip
ID = "id" + HOSTILE[:40]
FINE = {"\n", "\u200c", "\u200d"}


def check(text: str) -> None:
    """Nothing in it but text and line ends."""
    bad = {
        char
        for char in text
        if char not in FINE and unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp", "Cs")
    }
    assert bad == set()


ANSWER = Recommendation(
    ID, HOSTILE, (RecommendedItem(ID, 0.5, reason=HOSTILE),), HOSTILE, {HOSTILE: 1},
    Trigger.REQUEST, "cli-x", 1_000, 1, 2_000, HOSTILE, reply=HOSTILE,
)  # fmt: skip
LETTER = DeadLetterRecord(
    DeadLetterPosition(0, 3),
    DeadLetter("items", 0, 1, HOSTILE.encode(), json.dumps({"title": HOSTILE}).encode(),
               "invalid-field", HOSTILE, 1_000),
)  # fmt: skip
PINNED = RegistryState(3, HOSTILE, (HOSTILE,), pin=Pin(HOSTILE, HOSTILE, 0))
RECORD = ControlRecord(Action.PIN, HOSTILE, HOSTILE, 0, PINNED, HOSTILE)
WORKER = WorkerStatus(HOSTILE, "serving", HOSTILE, 2, 0, 9_000, active=HOSTILE)


class Follower:
    """Hands out one hostile answer to whatever was asked."""

    def __init__(self, *asked: object, **how: object) -> None:
        pass

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def poll(self, timeout_s: float) -> list[FollowedRecord]:
        return [FollowedRecord("recommendations", 0, 1, 2_000, ANSWER)]


class ClosingPublisher(FakePublisher):
    def close(self) -> None:
        pass


class Observer:
    def __init__(self, *asked: object) -> None:
        pass

    def __enter__(self) -> Observer:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def look(self) -> status.LoopSnapshot:
        champion = status.ChampionStatus(RECORD, 5_000, 12)
        ranking = status.TaskSnapshot("ranking", champion)
        flows = (status.Flow("events", 30, 20),)
        return status.LoopSnapshot(10_000, flows, (WORKER,), (ranking,))


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the commands find is hostile throughout."""
    settings = Settings(kafka=KafkaSettings(bootstrap="x:1"), redis=RedisSettings(url="redis://x"))
    catalogue = {ID: Item(ID, HOSTILE, HOSTILE, (HOSTILE,), {HOSTILE: HOSTILE})}
    kept = replace(ONE, recommendation_id=ID, user_id=HOSTILE, generation=HOSTILE, query=HOSTILE)
    state = UserState(history=(ID,), consumed=(ID,), last_seen_ms=9)
    held = users.Held(HOSTILE, Source("events", 0), state)
    topic = SimpleNamespace(read=lambda *_: [LETTER], at=lambda _: LETTER)
    dead = letters.DeadLetters(topic, SimpleNamespace(all=dict))
    for module, name, value in (
        (uuid, "uuid4", lambda: SimpleNamespace(hex="x")),
        (clients, "located", lambda *_: settings),
        (clients, "publisher", lambda *_: ClosingPublisher()),
        (clients, "catalogue_items", lambda *_: catalogue),
        (follower, "Follower", Follower),
        (users, "held", lambda *_: held),
        (
            why,
            "why",
            lambda *_: why.Why(ID, kept, (), Manifest(HOSTILE, *"abcde", 0), None, HOSTILE),
        ),
        (letters, "dead_letters", lambda *_: nullcontext(dead)),
        (status, "Observer", Observer),
        (doctor, "examine", lambda: [Finding(HOSTILE, CheckResult.PROBLEM, HOSTILE, HOSTILE)]),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.chdir(tmp_path)
    lines = [{"item_id": "ok"}, {"item_id": "x", "attributes": {HOSTILE: {"a": HOSTILE}}}]
    Path("items.jsonl").write_text("\n".join(map(json.dumps, lines)))


COMMANDS = [
    "users show ann",
    "recommendations tail -n 1",
    "why request:r1",
    "dead-letter list",
    "dead-letter show 0:3",
    "status",
    "doctor",
    "items load items.jsonl",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_prints_nothing_that_steers(found, capsys, command):
    with pytest.raises(SystemExit):
        main(command.split())
    printed = capsys.readouterr()
    check(printed.out)
    check(printed.err)
    assert "\u241b" in printed.out + printed.err or "\\x1b" in printed.out + printed.err
    assert not re.search(r"^error: forged", printed.out + printed.err, flags=re.MULTILINE)


@pytest.mark.parametrize("command", [one for one in COMMANDS if "users" not in one])
def test_json_says_the_same_with_its_own_escapes(found, capsys, command):
    with pytest.raises(SystemExit):
        main([*command.split(), "--json"])
    printed = capsys.readouterr().out
    check(printed)
    assert "\\u001b" in printed or "\\\\x1b" in printed


def test_an_answer_is_shown(found, capsys):
    with pytest.raises(SystemExit):
        main(["request", "ann"])
    printed = capsys.readouterr()
    check(printed.out)
    check(printed.err)
    assert "\u241b" in printed.out


@pytest.mark.parametrize(
    "drawn",
    [
        lineage_view.history([RECORD]),
        Text(HOSTILE),
        HOSTILE,
        table(HOSTILE, ["a", "b>"], [(HOSTILE, Text(HOSTILE, style="bold")), (1, None)]),
        Panel(Group(Text(HOSTILE), HOSTILE), title=Text(HOSTILE)),
    ],
)
@pytest.mark.parametrize("terminal", [True, False])
def test_whatever_is_drawn_is_made_visible(drawn, terminal):
    console = SafeConsole(file=StringIO(), width=200, force_terminal=terminal)
    console.print(drawn)
    printed = console.file.getvalue()
    ours = re.sub(r"\x1b\[[0-9;]*m", "", printed) if terminal else printed
    check(ours)
    assert "http://evil" in ours  # text, not a link


def test_a_line_break_in_a_cell_makes_no_row():
    console = SafeConsole(file=StringIO(), width=100)
    console.print(table("", ["id", "title"], [("a\nb", "c\r\nd\te"), ("x", "y")]))
    assert [line.split() for line in console.file.getvalue().splitlines()] == [
        ["id", "title"],
        ["a\u240ab", "c\u240d\u240ad\u2409e"],
        ["x", "y"],
    ]


def test_the_demos_panel():
    console = SafeConsole(file=StringIO(), width=200)
    with Screen(console) as screen:
        screen.say(HOSTILE)
        screen.show(Panel(Text(HOSTILE), title=Text(HOSTILE)), HOSTILE)
    check(console.file.getvalue())


def test_progress_and_errors_are_one_line_each(capsys):
    say(HOSTILE)
    print_errors([HOSTILE, "second"])
    printed = capsys.readouterr().err
    check(printed)
    assert printed.count("\n") == 3


def test_a_log_line_of_a_worker():
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "%s", (HOSTILE,), None)
    check(OneLine("w").format(record))


def test_only_the_console_prints():
    root = Path(printable.__file__).parents[1]
    makers = [path for path in root.rglob("*.py") if re.search(r"\bConsole\(", path.read_text())]
    assert makers == []
    printers = [
        path.name
        for path in root.rglob("*.py")
        if re.search(r"(?<![\w.])print\(|typer\.echo|click\.echo", path.read_text())
    ]
    assert printers == []


@given(st.text())
def test_length_and_ordinary_text_stay(text):
    for made in (printable.one_line(text), printable.lines(text)):
        check(made.replace("\t", ""))
        assert len(made) == len(text)
        assert all(
            a == b
            for a, b in zip(made, text, strict=True)
            if a not in "\ufffd\u2421" and not "\u2400" <= a <= "\u241f"
        )


@pytest.mark.parametrize("text", ["Amélie", "七人の侍", "👩‍🚀 می‌خواهم", "ἀλήθεια [1949] {a}"])
def test_titles_of_every_language_stay_as_they_are(text):
    assert printable.one_line(text) == text
    assert printable.json_line(json.dumps(text, ensure_ascii=False)) == f'"{text}"'


@given(st.text() | st.dictionaries(st.text(), st.text(st.characters(codec="utf-8"))))
def test_json_means_the_same(value):
    text = printable.json_line(json.dumps(value, ensure_ascii=False))
    check(text)
    assert json.loads(text) == value


def test_print_json_escapes(capsys):
    print_json({"title": HOSTILE})
    printed = capsys.readouterr().out
    check(printed)
    assert json.loads(printed) == {"title": HOSTILE}


def test_a_generation_with_a_hostile_name():
    console = SafeConsole(file=StringIO(), width=200)
    console.print(adapters_view.detail(Manifest(HOSTILE, *"abcde", 0), [RECORD]))
    check(console.file.getvalue())
