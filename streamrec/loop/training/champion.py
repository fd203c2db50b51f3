"""The champion, as the control log has it, with weights to compare candidates to.

Knows who is champion, whether it is pinned, the scorers of the last few generations, and the
former champion that candidates must not have sunk below (the anchor, docs/adr/0063). Does not
change the registry.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from streamrec.core.release.registry import Pin, RegistryState
from streamrec.errors import GenerationRefused
from streamrec.loop.training.trial import Champion, Former
from streamrec.ports import ControlLog, Generations, RegistryStore, Scorer

log = logging.getLogger(__name__)

WARM = 3
"""Scorers kept in memory: the champion, the one before, and the one on its way."""
ANCHOR_RELEASES = 10
"""The anchor is the champion this many releases ago, or the oldest since this process started."""


class ChampionWatch:
    """Follows the control log. For one thread.

    A champion that cannot be loaded is no reason to stop learning: candidates are then
    compared with ``untrained``, the ranker as it is without any training.
    """

    def __init__(
        self,
        control: ControlLog,
        store: RegistryStore,
        generations: Generations,
        untrained: Callable[[], Scorer],
    ) -> None:
        """``untrained`` is asked once, by ``start``: a scorer needs a catalogue."""
        self.state = RegistryState()
        self._wanted = self.state  # as read; followed once the store has answered
        self.champion: Champion  # from ``start`` on
        self._control = control
        self._store = store
        self._generations = generations
        self._make_untrained = untrained
        self._warm: dict[str, Scorer] = {}
        self._former: list[Former] = []  # oldest first, all of them still in the history

    @property
    def generation(self) -> str | None:
        """The champion's; None before the first release."""
        return self.champion.generation

    @property
    def pin(self) -> Pin | None:
        return self.state.pin

    def keep_warm(self, generation: str, scorer: Scorer) -> None:
        """A generation made here need not be loaded when it becomes champion."""
        self._warm.pop(generation, None)
        self._warm[generation] = scorer
        for old in [g for g in self._warm if g != self.state.champion][:-WARM]:
            del self._warm[old]

    def start(self) -> None:
        """Read the log to its end, before the learner has loaded anything. Raises Unavailable."""
        self._untrained = self._make_untrained()
        self.champion = Champion(None, self._untrained)
        latest = self._control.latest()
        self._wanted = latest.state if latest else RegistryState()
        self._follow(self._wanted)

    def poll(self) -> bool:
        """Take in what was decided since; whether the champion is another. Raises Unavailable."""
        record = self._control.poll(0.0)
        if record is not None:
            self._wanted = record.state
        return self._wanted != self.state and self._follow(self._wanted)

    def _follow(self, state: RegistryState) -> bool:
        """Raises Unavailable, having changed nothing, when the store is away."""
        changed = state.champion != self.champion.generation
        if changed:
            scorer = self.scorer(state.champion)
            self._remember(self.champion, state)
            anchor = self._former[0] if self._former else None
            self.champion = Champion(state.champion, scorer, anchor)
        if state.pin != self.state.pin:
            log.info("%s", _said(state))
        self.state = state
        return changed

    def _remember(self, before: Champion, state: RegistryState) -> None:
        """The champion before may become the anchor; what was rolled back may not."""
        if before.generation is not None:
            self._former.append(Former(before.generation, before.scorer))
        kept = [former for former in self._former if former.generation in state.history]
        self._former = kept[-ANCHOR_RELEASES:]

    def scorer(self, generation: str | None) -> Scorer:
        if generation is None:
            return self._untrained
        if generation not in self._warm:
            try:
                self.keep_warm(generation, self._generations.scorer(self._store.get(generation)))
            except GenerationRefused:
                log.exception(
                    "champion %s cannot be loaded: candidates are compared with the untrained "
                    "ranker; `streamrec adapters activate` another one",
                    generation,
                )
                return self._untrained
        return self._warm[generation]


def _said(state: RegistryState) -> str:
    if state.pin is None:
        return "unpinned: candidates that pass are activated again"
    return (
        f"{state.champion} is pinned by {state.pin.actor} ({state.pin.reason}): "
        "learning and judging go on, nothing is activated"
    )
