"""The layout of users' state as processes go by it, and what notices that it no longer fits.

Loads neither torch nor faust.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from redis import Redis

from streamrec.apps import clients
from streamrec.apps.local_loop import FEATURES
from streamrec.core import topics
from streamrec.core.state.layout import UserLayout
from streamrec.errors import StreamrecError, Unavailable, UserError
from streamrec.infra.stores.layout_store import RedisLayout
from streamrec.infra.wire.kafka import partition_for
from streamrec.infra.wire.kafka_topics import partition_counts
from streamrec.settings import Settings

log = logging.getLogger(__name__)

LOOK_S = 15.0
SAY_S = 60.0
ASK_S = 2.0
"""How often a worker that meets events of other partitions asks how many there are."""


def of_worker(settings: Settings, redis: Redis, role: str, count: int) -> UserLayout:
    """What a worker goes by; ``count``: partitions of ``events`` now.

    Raises Unavailable while it is being changed, UserError when ``events`` has fewer.
    """
    store = RedisLayout(redis, settings.redis.key_prefix)
    layout = store.get() or UserLayout(count)
    if role == FEATURES:  # nobody else changes state
        layout = store.claim(layout)
    problem = layout.mismatch(count)
    if layout.moving_to:
        raise Unavailable(str(problem), retry_after_s=5.0)
    if count < layout.partitions:
        raise UserError(str(problem))
    return layout


def of_operator(settings: Settings, redis: Redis) -> UserLayout:
    """What a command goes by. Raises UserError when it does not fit ``events``."""
    count = partition_counts(settings.kafka).get(topics.EVENTS, 0)
    if not count:
        raise UserError("there is no events topic; `streamrec topics create` makes it")
    layout = RedisLayout(redis, settings.redis.key_prefix).get() or UserLayout(count)
    if problem := layout.mismatch(count):
        raise UserError(problem)
    return layout


def problem(settings: Settings) -> str | None:
    """What is wrong with the layout, for ``status`` and ``doctor``. Raises Unavailable."""
    count = partition_counts(settings.kafka).get(topics.EVENTS, 0)
    with clients.redis(settings) as redis:
        layout = RedisLayout(redis, settings.redis.key_prefix).get()
    return layout.mismatch(count) if layout and count else None


def former_of(layout: UserLayout) -> Callable[[str], Collection[int]]:
    """Where a user's events stood by earlier layouts."""
    return lambda user: {partition_for(user, count) for count in layout.former}


class PartitionsNow:
    """The events partition of a user id by the number of partitions there are now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._count, self._asked_s = 0, -ASK_S

    def __call__(self, user: str) -> int:
        """Raises Unavailable."""
        if time.monotonic() - self._asked_s >= ASK_S:
            self._count = partition_counts(self._settings.kafka)[topics.EVENTS]
            self._asked_s = time.monotonic()
        return partition_for(user, self._count)


@contextmanager
def watched(
    settings: Settings, redis: Redis, ours: UserLayout, stop: threading.Event
) -> Iterator[None]:
    """Within, ``stop`` is set when the state has been laid out anew, and a misfit is said."""
    over = threading.Event()
    thread = threading.Thread(
        target=_watch, args=(settings, redis, ours, stop, over), name="layout", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(
    settings: Settings, redis: Redis, ours: UserLayout, stop: threading.Event, over: threading.Event
) -> None:
    store, said_s = RedisLayout(redis, settings.redis.key_prefix), -SAY_S
    while not over.wait(LOOK_S):
        try:
            layout = store.get() or ours
            found = layout.mismatch(partition_counts(settings.kafka)[topics.EVENTS])
        except (StreamrecError, KeyError) as error:
            log.debug("looking at the layout: %s", error)
            continue
        if layout.partitions != ours.partitions:
            log.warning("users are laid out for %d partitions: start again", layout.partitions)
            stop.set()
            return
        if found and time.monotonic() - said_s >= SAY_S:
            said_s = time.monotonic()
            log.error("%s", found)
