"""From errors to one line for a person, and an exit code: 0, 1 or 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from streamrec.cli.console import print_errors
from streamrec.errors import BadFile, SettingsError, StreamrecError


@contextmanager
def exit_codes() -> Iterator[None]:
    """Raises SystemExit for an error of ours: 2 where the person has to change something."""
    try:
        yield
    except SettingsError as error:
        print_errors(error.problems)
        sys.exit(2)
    except StreamrecError as error:
        print_errors([str(error)])
        sys.exit(2 if isinstance(error, BadFile) else 1)
