"""The loop that a drill breaks: its own, from an empty state directory, and gone afterwards.

Knows how often things are due in a drill. Does not know what is done to the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from streamrec.apps.local_loop import LocalLoop, ProcessCounts, empty
from streamrec.lab.demo.cleaning import remove_traces
from streamrec.lab.demo.play import demo_settings
from streamrec.settings import Settings

Say = Callable[[str], None]


def drill_settings(given: Settings) -> Settings:
    """A fresh state directory, names of its own, and everything due more often than usual.

    A worker that was killed is missed after the shortest time a broker allows by default.
    """
    settings = demo_settings(given)
    return replace(
        settings,
        state_dir=given.state_dir / "drill",
        kafka=replace(settings.kafka, session_timeout_s=6.0),
        serving=replace(settings.serving, max_age_s=0.0),  # each request has its list
        trainer=replace(
            settings.trainer,
            release_examples=150,
            release_s=10.0,
            gate_examples=60,
            gate_s=5.0,
            checkpoint_s=3.0,
        ),
    )


@contextmanager
def drill_loop(
    given: Settings, settings: Settings, processes: ProcessCounts, say: Say
) -> Iterator[tuple[LocalLoop, ExitStack]]:
    """The loop, and a stack for what looks at it: closed before the loop is stopped.

    Raises UserError or Unavailable when it cannot start.
    """
    empty(settings.state_dir)
    with ExitStack() as stack:
        loop = stack.enter_context(LocalLoop(settings, processes, say))
        stack.callback(remove_traces, given, loop.settings, say)
        yield loop, stack
