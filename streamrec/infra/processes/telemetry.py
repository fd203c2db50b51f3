"""What a process says of itself: log lines.

They go to stderr, one line each:

    2026-05-01T10:00:00.123Z INFO    trainer-1 candidate g000012 accepted: ...

or, where JSON is asked for, one object each (docs/tracing.md):

    {"time": "2026-05-01T10:00:00.123Z", "level": "INFO", "worker": "trainer-1", ...}

A warning that is repeated at every try is printed about twice a minute, with how often it came.
A stack trace is printed at level DEBUG only; a user's mistake never needs one.
"""

from __future__ import annotations

import json
import logging
import re
import resource
import sys
import threading
from datetime import UTC, datetime

from streamrec.core.printable import json_line, lines, one_line
from streamrec.errors import UserError
from streamrec.ports.tracing import TRACE_ID
from streamrec.settings import LogFormat

log = logging.getLogger(__name__)

NOISY = (
    *("kafka", "aiokafka", "faust", "mode", "transformers", "httpx", "urllib3", "filelock"),
    *("opentelemetry", "mlflow", "wandb", "alembic"),
)
"""Libraries that say at INFO what we would say at DEBUG."""

TELLTALES = ("kafka", "aiokafka")
"""Libraries whose DEBUG lines hold their configuration and every byte sent: passwords."""

GENERATION = re.compile(r"\bg\d{6,}-[0-9a-f]{8}\b")
AGAIN_S = 30.0
SAID = 1_000


class OneLine(logging.Formatter):
    """Time, level, worker, message; a message of several lines is folded into one."""

    def __init__(self, worker: str) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        message = " ⏎ ".join(record.getMessage().splitlines())
        line = f"{_when(record)} {record.levelname:<7} {self._worker} {one_line(message)}"
        if record.exc_info and logging.getLogger().isEnabledFor(logging.DEBUG):
            return f"{line}\n{lines(self.formatException(record.exc_info))}"
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            told = " ⏎ ".join(str(error).splitlines())
            return f"{line}: {type(error).__name__}: {one_line(told)}"
        return line


class JsonLine(logging.Formatter):
    """The same as one JSON object; what there is nothing of is left out.

    ``generation``: the first one that the message names, or what the caller said by ``extra``.
    """

    def __init__(self, worker: str, role: str) -> None:
        super().__init__()
        self._who = {"worker": worker, "role": role}

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        said = {
            "time": _when(record),
            "level": record.levelname,
            **self._who,
            "logger": record.name,
            "generation": getattr(record, "generation", "") or _generation(message),
            "trace_id": TRACE_ID.get(),
            "message": message,
            **self._error(record),
        }
        kept = {name: text for name, text in said.items() if text}
        return json_line(json.dumps(kept, ensure_ascii=False))

    def _error(self, record: logging.LogRecord) -> dict[str, str]:
        """A stack trace is for debugging, as in a line of text."""
        if not record.exc_info or record.exc_info[1] is None:
            return {}
        error = record.exc_info[1]
        told = {"error": f"{type(error).__name__}: {error}"}
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            told["stack"] = self.formatException(record.exc_info)
        return told


def _when(record: logging.LogRecord) -> str:
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return when.replace("+00:00", "Z")


def _generation(message: str) -> str:
    found = GENERATION.search(message)
    return found[0] if found else ""


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


def configure_logging(
    level: str, worker: str, log_format: LogFormat = LogFormat.TEXT, role: str = ""
) -> None:
    """Send every logger's lines to stderr in our format, replacing what was set up before.

    As JSON also what ends the process, and what Python warns of. Raises UserError when there is no
    such level.
    """
    levels = logging.getLevelNamesMapping()
    if level.upper() not in levels:
        raise UserError(f"log level {level!r} is none of DEBUG, INFO, WARNING, ERROR")
    handler = logging.StreamHandler(sys.stderr)
    as_json = log_format is LogFormat.JSON
    handler.setFormatter(JsonLine(worker, role) if as_json else OneLine(worker))
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
    if as_json:
        logging.captureWarnings(True)
        sys.excepthook = lambda _, error, __: _end(error)
        threading.excepthook = lambda args: _end(args.exc_value)


def speaks_json() -> bool:
    """Whether this process says everything as JSON."""
    return any(isinstance(at.formatter, JsonLine) for at in logging.getLogger().handlers)


def _end(error: BaseException | None) -> None:
    log.critical("it cannot go on", exc_info=error)


def peak_rss_mb() -> float:
    """The most memory this process has had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
