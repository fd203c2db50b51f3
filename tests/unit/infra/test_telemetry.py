"""One event, one line; curves that TensorBoard can read."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamrec.errors import UserError
from streamrec.infra.processes import telemetry


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in telemetry.NOISY}
    yield
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


def test_curves_are_written_and_read_back(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    scalars = telemetry.open_scalars(str(tmp_path))
    scalars.write(3, {"loss/rank": 0.5, "lag": 2.0})
    scalars.close()
    (file,) = tmp_path.iterdir()
    points = {
        (value.tag, event.step): value.tensor.float_val[0] if value.HasField("tensor")
        else value.simple_value
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
    }  # fmt: skip
    assert points == {("loss/rank", 3): 0.5, ("lag", 3): 2.0}


def test_a_missing_package_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    with pytest.raises(UserError, match="pip install"):
        telemetry.open_scalars(str(tmp_path))


def test_no_directory_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scalars = telemetry.open_scalars("")
    scalars.write(1, {"loss": 1.0})
    scalars.close()
    assert not list(tmp_path.iterdir())


def test_memory_is_in_mebibytes() -> None:
    assert 5 < telemetry.peak_rss_mb() < 100_000
