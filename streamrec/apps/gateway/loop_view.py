"""What the page shows of the loop, gathered beside the requests: nobody waits for it.

Two threads: one follows the topics of events and lists from now on, the other looks at the whole
loop as ``streamrec status`` does, while somebody wants to see it.

Of a busy loop only some users are followed, always the same ones: messages are counted, and those
of the others are not decoded. What is measured is of the sample; rates are of all.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import ExitStack
from typing import Any
from zlib import crc32

from streamrec.apps import clients, status_fields
from streamrec.apps.status import LoopSnapshot, Observer
from streamrec.core import topics
from streamrec.core.events import Interaction, Recommendation
from streamrec.core.measures.recent import RecentLoop
from streamrec.core.measures.time_order import HELD_BACK_MS, TimeOrder
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import ControlRecord, RegistryState
from streamrec.errors import StreamrecError, Unavailable
from streamrec.infra.clock import SystemClock
from streamrec.infra.stores.control_log import KafkaControlLog
from streamrec.infra.wire.follower import Follower
from streamrec.ports import FollowedRecord
from streamrec.settings import Settings

log = logging.getLogger(__name__)

FOLLOWED = (topics.EVENTS, topics.RECOMMENDATIONS)
FOLLOW_S, LOOK_S = 0.5, 2.0
"""Between two steps. To be told of each message at once would cost a fifth of a core."""
POLL_S, MANY, ROUNDS = 0.05, 500, 10
"""A step polls again, so often at most, while so many came at once."""
SAMPLED_PER_S = 400.0
"""Messages of more than this rate are sampled."""
TENTHS_OF_PERCENT = 1_000
OLDEST_MS = 10_000
"""A record that claims to be older, or newer than now, counts as of that moment."""
RECORDS = 500
WATCHED_S = 30.0
"""So long after somebody has asked, the loop is looked at."""
FIRST_LOOK_S = 3.0


class LoopView:
    """``follow`` and ``look`` are steps of one background thread each; any thread may read.

    ``sampled``: the share of users whose messages are measured.
    """

    def __init__(self, settings: Settings, worker_id: str) -> None:
        self.sampled = 1.0
        self.problem = ""  # why what is shown may be old
        self._settings, self._worker_id = settings, worker_id
        self._clock = SystemClock()
        self._lock = threading.Lock()
        self._recent = RecentLoop()
        self._order: TimeOrder[FollowedRecord] = TimeOrder()
        self._records: deque[ControlRecord] = deque(maxlen=RECORDS)
        self._manifests: dict[str, Manifest] = {}
        self._champion: str | None = None
        self._stack = ExitStack()
        self._follower: Follower | None = None
        self._control: KafkaControlLog | None = None
        self._observer: Observer | None = None
        self._before: LoopSnapshot | None = None
        self._status: dict[str, Any] | None = None
        self._asked_ms = 0
        self._looked = threading.Event()

    # -- the thread that follows ---------------------------------------------------------

    def follow(self) -> None:
        """What came since the last time. Raises Unavailable: it begins anew then."""
        try:
            self._take_in()
        except StreamrecError as error:
            self._let_go()
            raise error if isinstance(error, Unavailable) else Unavailable(str(error)) from error
        except Exception as error:  # the page must not end the gateway
            log.exception("what comes cannot be measured")
            self._let_go()
            raise Unavailable(f"what comes cannot be measured: {error!r}") from error

    def close(self) -> None:
        """When neither thread runs any more."""
        self._let_go()
        if self._observer is not None:
            self._observer.__exit__()

    def _take_in(self) -> None:
        follower, control = self._connected()
        for _ in range(ROUNDS):
            came = follower.poll(POLL_S)
            for seen in came:
                self._order.put(self._believed(seen.timestamp_ms), seen)
            if len(came) < MANY:
                break
        latest = control.latest()
        now_ms = self._clock.now_ms()
        with self._lock:
            for seen in self._order.until(now_ms - HELD_BACK_MS):
                self._take(seen, self._believed(seen.timestamp_ms))
            if latest is not None:
                self._note_champion(latest, now_ms)
            self._sample(now_ms)

    def _connected(self) -> tuple[Follower, KafkaControlLog]:
        if self._follower is None or self._control is None:
            codec = clients.codec(self._settings)
            follower = Follower(
                self._settings.kafka, codec, FOLLOWED, self._worker_id, wanted=self._wanted
            )
            self._follower = self._stack.enter_context(follower)
            self._records.clear()
            log_ = clients.control_log(self._settings, self._records.append)
            self._control = self._stack.enter_context(log_)
        return self._follower, self._control

    def _let_go(self) -> None:
        self._stack.close()
        self._follower = self._control = None

    def _wanted(self, _topic: str, user: bytes) -> bool:
        return crc32(user) % TENTHS_OF_PERCENT < self.sampled * TENTHS_OF_PERCENT

    def _sample(self, now_ms: int) -> None:
        now = self._recent.now(now_ms)
        rate = now["events_per_s"] + now["lists_per_s"]
        self.sampled = min(1.0, SAMPLED_PER_S / max(rate, 1.0))

    def _believed(self, at_ms: int) -> int:
        now_ms = self._clock.now_ms()
        return max(now_ms - OLDEST_MS, min(at_ms, now_ms))

    def _take(self, seen: FollowedRecord, at_ms: int) -> None:
        if seen.topic == topics.EVENTS:
            self._recent.counted(at_ms, events=1)
            if isinstance(seen.value, Interaction):
                self._recent.happened(seen.value, seen.partition, seen.offset, at_ms)
        else:
            self._recent.counted(at_ms, lists=1)
            if isinstance(seen.value, Recommendation):
                self._recent.recommended(seen.value, at_ms)

    def _note_champion(self, latest: ControlRecord, now_ms: int) -> None:
        champion = latest.state.champion
        if champion is None or champion == self._champion:
            return
        self._champion = champion
        manifest = self.manifest(champion)
        if manifest is not None:
            self._recent.champion(min(latest.at_ms, now_ms), manifest.trained_through)

    # -- the thread that looks -----------------------------------------------------------

    def look(self) -> None:
        """At everything, if somebody wants to see it. What cannot be seen is told, not raised."""
        if self._clock.now_ms() - self._asked_ms > WATCHED_S * 1000:
            self._before = None
            return
        try:
            if self._observer is None:
                self._observer = Observer(self._settings)
            after = self._observer.look()
            self._status = status_fields.fields(self._before or after, after)
            self._before, self.problem = after, ""
        except StreamrecError as error:
            self.problem = str(error)
        except Exception as error:  # the page must not end the gateway
            log.exception("the loop cannot be looked at")
            self.problem = f"{type(error).__name__}; the gateway's log says more"
        self._looked.set()

    # -- whoever asks --------------------------------------------------------------------

    def status(self) -> dict[str, Any] | None:
        """The latest look, as ``streamrec status --json`` has it; waits for the first one."""
        self._asked_ms = self._clock.now_ms()
        self._looked.wait(FIRST_LOOK_S)
        return self._status

    def measures(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Of the last minute, and of the last quarter of an hour step by step."""
        now_ms = self._clock.now_ms() - HELD_BACK_MS
        with self._lock:
            return self._recent.now(now_ms), self._recent.series(now_ms)

    def records(self) -> list[ControlRecord]:
        """The control log's newest, oldest first."""
        return list(self._records)

    def state(self) -> RegistryState:
        records = self.records()
        return records[-1].state if records else RegistryState()

    def manifest(self, generation: str) -> Manifest | None:
        """None where it cannot be read (now)."""
        if generation not in self._manifests:
            found = clients.manifest(self._settings, generation)
            if found is None:
                return None
            self._manifests[generation] = found
        return self._manifests[generation]
