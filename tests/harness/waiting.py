"""Waiting for what must happen, as long as a busy machine may need for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 120.0
"""Far more than anything needs: only a failure waits so long."""

Found = TypeVar("Found")


def eventually(
    condition: Callable[[], Found],
    within_s: float = PATIENCE_S,
    what: Callable[[], object] | str = "",
    *,
    every_s: float = 0.02,
) -> Found:
    """The condition's value as soon as it is true. ``what``: to say when it never is."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"not within {within_s:g} s: {said or condition}")
        time.sleep(every_s)
    return found
