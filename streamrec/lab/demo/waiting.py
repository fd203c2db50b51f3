"""Waiting for what is missing, while somebody goes on looking after the loop."""

from __future__ import annotations

import time
from collections.abc import Callable

from streamrec.errors import Unavailable


def wait_for(missing: Callable[[], str], within_s: float, meanwhile: Callable[[], object]) -> str:
    """Do ``meanwhile`` again and again until nothing is missing; what still is in the end.

    ``missing`` may raise Unavailable: then that is what is missing. It is asked at least once.
    """
    deadline_s = time.monotonic() + within_s
    while True:
        meanwhile()
        try:
            what = missing()
        except Unavailable as error:
            what = str(error)
        if not what or time.monotonic() > deadline_s:
            return what


def insist_on(missing: Callable[[], str], within_s: float, meanwhile: Callable[[], object]) -> None:
    """As ``wait_for``. Raises Unavailable when something still is missing in the end."""
    if what := wait_for(missing, within_s, meanwhile):
        raise Unavailable(f"waited {within_s:g} s: {what}")
