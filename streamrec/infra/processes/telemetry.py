"""What a process says of itself: log lines, and TensorBoard event files when asked.

Log lines go to stderr, one line each:

    2026-05-01T10:00:00.123Z INFO    trainer-1 candidate g000012 accepted: ...

A warning that is repeated at every try is printed about twice a minute, with how often it came.
A stack trace is printed at level DEBUG only; a user's mistake never needs one.
"""

from __future__ import annotations

import logging
import resource
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamrec.core.printable import lines, one_line
from streamrec.errors import UserError
from streamrec.ports import Scalars

NOISY = ("kafka", "aiokafka", "faust", "mode", "transformers", "httpx", "urllib3", "filelock")
"""Libraries that say at INFO what we would say at DEBUG."""

TELLTALES = ("kafka", "aiokafka")
"""Libraries whose DEBUG lines hold their configuration and every byte sent: passwords."""

AGAIN_S = 30.0
SAID = 1_000


class OneLine(logging.Formatter):
    """Time, level, worker, message; a message of several lines is folded into one."""

    def __init__(self, worker: str) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        message = " ⏎ ".join(record.getMessage().splitlines())
        line = f"{when.replace('+00:00', 'Z')} {record.levelname:<7} {self._worker} "
        line += one_line(message)
        if record.exc_info and logging.getLogger().isEnabledFor(logging.DEBUG):
            return f"{line}\n{lines(self.formatException(record.exc_info))}"
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            told = " ⏎ ".join(str(error).splitlines())
            return f"{line}: {type(error).__name__}: {one_line(told)}"
        return line


class SaidBefore(logging.Filter):
    """Lets a warning of ours through once in ``AGAIN_S``, and then says how often it came.

    Whoever waits for a server says so at each try.
    """

    def __init__(self) -> None:
        super().__init__("streamrec")
        self._said: dict[str, tuple[float, int]] = {}  # warning -> when, how often since

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING or not super().filter(record):
            return True
        text = record.getMessage()
        when, count = self._said.get(text, (float("-inf"), 0))
        if record.created - when < AGAIN_S:
            self._said[text] = when, count + 1
            return False
        if len(self._said) > SAID:
            self._said.clear()
        self._said[text] = record.created, 0
        if count:
            record.msg, record.args = f"{text} (and {count} times since it was said)", ()
        return True


def configure_logging(level: str, worker: str) -> None:
    """Send every logger's lines to stderr in our format, replacing what was set up before.

    Raises UserError when there is no such level.
    """
    levels = logging.getLevelNamesMapping()
    if level.upper() not in levels:
        raise UserError(f"log level {level!r} is none of DEBUG, INFO, WARNING, ERROR")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(worker))
    handler.addFilter(SaidBefore())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(levels[level.upper()])
    quiet = max(levels[level.upper()], logging.WARNING)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.DEBUG if level.upper() == "DEBUG" else quiet)
    for name in TELLTALES:
        library = logging.getLogger(name)
        library.setLevel(max(library.level, logging.INFO))


def peak_rss_mb() -> float:
    """The most memory this process has had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


class TensorBoardScalars(Scalars):
    """Curves as TensorBoard event files in a directory.

    Raises UserError when the package is missing.
    """

    def __init__(self, directory: Path) -> None:
        try:
            from tensorboard.compat.proto.event_pb2 import Event  # noqa: PLC0415 - optional
            from tensorboard.compat.proto.summary_pb2 import Summary  # noqa: PLC0415 - optional
            from tensorboard.summary.writer.event_file_writer import (  # noqa: PLC0415 - optional
                EventFileWriter,
            )
        except ImportError as error:
            raise UserError(
                "STREAMREC_TRAINER_TENSORBOARD_DIR is set but tensorboard is not installed: "
                "`pip install 'streamrec[tensorboard]'`, or unset it"
            ) from error
        self._event: Any = Event
        self._summary: Any = Summary
        self._writer: Any = EventFileWriter(str(directory))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """One point on each named curve."""
        points = [self._summary.Value(tag=tag, simple_value=v) for tag, v in values.items()]
        now_s = datetime.now(UTC).timestamp()
        event = self._event(wall_time=now_s, step=step, summary=self._summary(value=points))
        self._writer.add_event(event)

    def close(self) -> None:
        self._writer.close()


def open_scalars(directory: str) -> Scalars:
    """Event files under ``directory``; nothing when it is empty."""
    return TensorBoardScalars(Path(directory)) if directory else Scalars()
