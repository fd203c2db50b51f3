"""The alarm on the population: other traffic than usual pauses promotion, not learning.

Knows what an alarm does to the registry, and who may end what. Does not know what is unusual
(the task's ``TrafficWatch``), nor where its memory is kept.

The trainer's thread hands over examples (``observe``); another one acts, about once a second:

1. An alarm, and nobody has pinned the champion: pin it, with the numbers as the reason.
   Candidates are still made, judged and held.
2. The alarm is over: lift the pin, if it is still ours.
3. An alarm, and our pin is gone: a person has lifted it, or activated something. That says
   that this traffic is usual now, and it becomes the reference.

A pin of somebody else is left alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streamrec.core.examples import Example
from streamrec.core.release.registry import RegistryState
from streamrec.errors import RegistryConflict, UserError
from streamrec.ports import TrafficWatch

log = logging.getLogger(__name__)

ACTOR = "alarm"
ACT_EVERY_S = 1.0


class PromotionAlarm:
    """``observe`` from one thread, ``act`` from another, whose release service nobody else uses."""

    def __init__(
        self,
        watch: TrafficWatch,
        state: Callable[[], RegistryState],
        pin: Callable[[str], object],
        unpin: Callable[[str], object],
        keep: Callable[[Mapping[str, Any]], None],
    ) -> None:
        """``state``, ``pin`` and ``unpin``: of a ``ReleaseService`` whose actor is ``ACTOR``.

        ``keep`` stores the watch's memory.
        """
        self._watch = watch
        self._state = state
        self._pin = pin
        self._unpin = unpin
        self._keep = keep
        self._kept = watch.windows
        self._pinned = False  # by us, as far as we have seen
        self._lock = threading.Lock()

    def observe(self, examples: Sequence[Example]) -> None:
        """Examples in the order in which they are learned."""
        with self._lock:
            changed = self._watch.observe(examples)
            alarm = self._watch.alarm
        if changed and alarm:
            log.warning("other traffic than usual: %s", "; ".join(map(str, alarm)))
        elif changed:
            log.info("traffic is as usual again")

    def act(self) -> None:
        """Bring the registry in line, and keep the watch's memory. Raises Unavailable."""
        with self._lock:
            alarm = self._watch.alarm
            windows, record = self._watch.windows, self._watch.to_record()
        if windows != self._kept:
            self._keep(record)
            self._kept = windows
        state = self._state()
        ours = state.pin is not None and state.pin.actor == ACTOR
        try:
            if alarm and not ours:
                self._raise("; ".join(map(str, alarm)), state)
            elif ours and not alarm:
                self._unpin("traffic is as usual again")
                self._pinned = False
            else:
                self._pinned = ours
        except (RegistryConflict, UserError) as error:
            log.info("somebody else was first (%s); looking again", error)

    def _raise(self, why: str, state: RegistryState) -> None:
        if self._pinned:
            log.warning("the pin was lifted by hand: this traffic is usual from now on")
            with self._lock:
                self._watch.accept()
            self._pinned = False
        elif state.pin is None and state.champion is not None:
            self._pin(f"other traffic than usual: {why}")
            self._pinned = True
