"""One event, one line, as text or JSON."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator

import pytest

from streamrec.cli.exit_codes import exit_codes
from streamrec.errors import UserError
from streamrec.infra.processes import telemetry
from streamrec.ports.tracing import TRACE_ID
from streamrec.settings import LogFormat


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in telemetry.NOISY}
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_a_line_has_time_level_worker_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure_logging("info", "trainer-1")
    logging.getLogger("streamrec.x").info("two\nlines of %d", 7)
    logging.getLogger("streamrec.x").debug("not shown")
    (line,) = capsys.readouterr().err.splitlines()
    when, level, worker, message = line.split(maxsplit=3)
    assert when.endswith("Z")
    assert "T" in when
    assert (level, worker, message) == ("INFO", "trainer-1", "two ⏎ lines of 7")


def test_a_warning_at_every_try_is_said_now_and_then_with_how_often_it_came(
    capsys: pytest.CaptureFixture[str],
) -> None:
    telemetry.configure_logging("info", "w")
    [handler] = logging.getLogger().handlers

    def warn(at_s: float, text: str, level: int = logging.WARNING) -> None:
        record = logging.LogRecord("streamrec.x", level, "", 0, text, (), None)
        record.created = at_s
        handler.handle(record)

    for second in range(int(telemetry.AGAIN_S) + 2):
        warn(second, "waiting for Redis")
        warn(second, "tick", logging.INFO)
    warn(3, "another")
    said = [line.split(maxsplit=3)[3] for line in capsys.readouterr().err.splitlines()]
    assert [text for text in said if text != "tick"] == [
        "waiting for Redis",
        "waiting for Redis (and 29 times since it was said)",
        "another",
    ]
    assert said.count("tick") == int(telemetry.AGAIN_S) + 2


@pytest.mark.parametrize(("level", "traces"), [("INFO", False), ("DEBUG", True)])
def test_a_stack_trace_is_for_debugging(
    level: str, traces: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry.configure_logging(level, "w")
    try:
        int("bad luck")
    except ValueError:
        logging.getLogger("streamrec").exception("it stopped")
    printed = capsys.readouterr().err
    assert "bad luck" in printed
    assert ("Traceback" in printed) is traces
    assert (len(printed.splitlines()) == 1) is not traces


def test_libraries_keep_quiet_at_info(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure_logging("INFO", "w")
    logging.getLogger("kafka.cluster").info("metadata")
    assert capsys.readouterr().err == ""


def test_kafka_clients_never_print_what_they_send(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure_logging("DEBUG", "w")
    logging.getLogger("kafka.protocol.parser").debug("Send: canary")
    logging.getLogger("kafka.cluster").info("metadata")
    printed = capsys.readouterr().err
    assert "canary" not in printed
    assert "metadata" in printed


def test_an_unknown_level_is_named() -> None:
    with pytest.raises(UserError, match="LOUD"):
        telemetry.configure_logging("LOUD", "w")


def as_json(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, str]]]:
    """Begin to; what has been said since, line by line."""
    telemetry.configure_logging("info", "trainer-1", LogFormat.JSON, "trainer")

    def said() -> list[dict[str, str]]:
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    return said


def test_a_json_line_has_who_when_and_what(capsys) -> None:
    said = as_json(capsys)
    log = logging.getLogger("streamrec.x")
    log.info('two\nlines, "%s" and \u202eback', "好")
    [line] = said()
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO",
        "worker": "trainer-1",
        "role": "trainer",
        "logger": "streamrec.x",
        "message": 'two\nlines, "好" and \u202eback',
    }


def test_nothing_that_steers_a_terminal_is_in_a_json_line(capsys) -> None:
    as_json(capsys)
    logging.getLogger("streamrec.x").info("\x1b[31mred \u202eback")
    [line] = capsys.readouterr().err.splitlines()
    assert not {"\x1b", "\u202e"} & set(line)
    assert json.loads(line)["message"] == "\x1b[31mred \u202eback"


def test_a_json_line_names_its_generation_and_its_trace(capsys) -> None:
    said = as_json(capsys)
    log = logging.getLogger("streamrec.x")
    log.info("g000012-1a2b3c4d activated instead of g000011-00000000")
    log.info("it is loaded", extra={"generation": "g000013-1a2b3c4d"})
    within = TRACE_ID.set("ab" * 16)
    log.info("in a trace")
    TRACE_ID.reset(within)
    log.info("in none")
    lines = said()
    names = ["g000012-1a2b3c4d", "g000013-1a2b3c4d", None, None]
    assert [line.get("generation") for line in lines] == names
    assert [line.get("trace_id") for line in lines] == [None, None, "ab" * 16, None]


def test_what_ends_a_process_and_what_python_warns_of_is_json_too(capsys) -> None:
    said = as_json(capsys)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", UserWarning, stacklevel=1)
    thread = threading.Thread(target=int, args=("bad luck",))
    thread.start()
    thread.join()
    sys.excepthook(ValueError, ValueError("worse"), None)
    with pytest.raises(SystemExit), exit_codes():
        raise UserError("no such topic")
    lines = [(line["level"], line.get("error") or line["message"]) for line in said()]
    assert "old" in lines[0][1]
    assert lines[1:] == [
        ("CRITICAL", "ValueError: invalid literal for int() with base 10: 'bad luck'"),
        ("CRITICAL", "ValueError: worse"),
        ("CRITICAL", "no such topic"),
    ]


def test_memory_is_in_mebibytes() -> None:
    assert 5 < telemetry.peak_rss_mb() < 100_000
