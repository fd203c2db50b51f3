"""From errors to one line for a person, and an exit code: 0, 1 or 2."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from streamrec.cli.console import print_errors
from streamrec.errors import BadFile, SettingsError, StreamrecError


@contextmanager
def exit_codes() -> Iterator[None]:
    """Raises SystemExit for an error of ours: 2 where the person has to change something."""
    try:
        yield
    except SettingsError as error:
        _tell(error.problems)
        sys.exit(2)
    except StreamrecError as error:
        _tell([str(error)])
        sys.exit(2 if isinstance(error, BadFile) else 1)


def _tell(problems: Iterable[str]) -> None:
    """On stderr; a worker that says everything as JSON says this so, too."""
    telemetry = sys.modules.get("streamrec.infra.processes.telemetry")
    if telemetry is None or not telemetry.speaks_json():
        print_errors(problems)
        return
    for problem in problems:
        logging.getLogger(__name__).critical("%s", problem)
