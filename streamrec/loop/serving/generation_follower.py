"""Following the control log in one serving worker.

Knows which generations should be in memory, which one should answer, and what to tell the
fleet about it. Does not know what a generation is or how the log is read.

Three threads meet here: one takes note of records, one loads (slow), one serves and flips between
micro-batches. A generation that cannot be loaded changes nothing: the worker keeps what it
has and says why.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from streamrec.core.release.registry import ControlRecord, RegistryState
from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import GenerationRefused
from streamrec.loop.serving.traffic_split import OnTrial
from streamrec.ports import HotSwap, RegistryStore, ServingModel

log = logging.getLogger(__name__)


class GenerationFollower:
    """What the log wants, and how far this worker has come."""

    def __init__(
        self,
        store: RegistryStore,
        swap: HotSwap,
        catalogue: Catalogue,
        *,
        keep: int,
    ) -> None:
        """``keep``: former champions kept warm."""
        self._store = store
        self._swap = swap
        self._catalogue = catalogue
        self._keep = keep
        self._changed: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._wanted = RegistryState()
        self._refused: dict[str, str] = {}
        self._canary: OnTrial | None = None
        self._left: str | None = None  # answered before the active one: the way forward again
        self._observed = 0
        self._stuck_at = -1  # catalogue version that could not be encoded

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call this whenever the fleet should be told at once; it must not block."""
        self._changed = changed

    def follow(self, record: ControlRecord) -> None:
        """Take note of the newest record. A generation named again gets another chance."""
        with self._lock:
            self._settle()
            self._wanted = record.state
            if record.generation is not None:
                self._refused.pop(record.generation, None)
        revision = record.state.revision
        log.info("revision %d: %s %s, %s", revision, record.action, record.generation, record.actor)
        self._changed()

    def prepare(self) -> None:
        """Load what should be warm, forget the rest, encode new and changed items.

        Raises Unavailable when the registry store does not answer.
        """
        wanted = self._warm_list()
        for generation in wanted:
            if generation not in self._refused and not self._swap.is_warm(generation):
                self._load(generation)
        self._swap.keep(wanted)
        self._encode_new_items()
        with self._lock:
            self._refused = {name: why for name, why in self._refused.items() if name in wanted}

    def flip(self) -> bool:
        """Let the champion answer from here on, if it is loaded. Call between micro-batches.

        Its canary, if it has one and that is loaded, answers its share from here on; a
        canary that is over answers nobody. Returns whether the champion is another.
        """
        with self._lock:
            flipped = self._flip_champion()
            turned = self._flip_canary()
            canary = self._canary
        if flipped or turned:
            self._changed()
        if flipped:
            log.info("%s answers now, after %s", self._wanted.champion, self._left or "nothing")
        if turned and canary:
            log.info("%s answers %g %% of the users", canary.generation, 100 * canary.rule.share)
        elif turned:
            log.info("the canary is over")
        return flipped

    def _flip_champion(self) -> bool:
        champion, active = self._wanted.champion, self._swap.active
        if champion is None or (active is not None and active.generation == champion):
            return False
        if not self._swap.is_warm(champion):
            return False
        self._swap.activate(champion)
        self._left = active.generation if active else None
        return True

    def _flip_canary(self) -> bool:
        """Only ever beside its own champion: another one's users are not its to answer."""
        rule, active, before = self._wanted.canary, self._swap.active, self._canary
        model = None
        if rule is not None and active is not None and active.generation == self._wanted.champion:
            model = self._swap.model(rule.generation)
        self._canary = None if rule is None or model is None else OnTrial(model, rule)
        return self._canary != before

    @property
    def active(self) -> ServingModel | None:
        """What answers now: take it once per micro-batch."""
        return self._swap.active

    @property
    def canary(self) -> OnTrial | None:
        """What answers its share of the users beside ``active``: take both, once."""
        return self._canary

    @property
    def wanted(self) -> RegistryState:
        with self._lock:
            return self._wanted

    def report(self) -> dict[str, Any]:
        """The part of ``WorkerStatus`` that is about generations."""
        with self._lock:
            self._settle()
            wanted, active = self._wanted, self._swap.active
            warm = wanted.staged is not None and self._swap.is_warm(wanted.staged)
            return {
                "active": active.generation if active else None,
                "staged": wanted.staged if warm else None,
                "canary": self._canary.generation if self._canary else None,
                "refused": dict(self._refused),
                "revision": self._observed,
            }

    def _settle(self) -> None:
        """The revision counts as observed once its champion and its canary answer, or never can."""
        champion, active = self._wanted.champion, self._swap.active
        answers = active is not None and active.generation == champion
        if champion is None or champion in self._refused or (answers and self._settled_canary()):
            self._observed = self._wanted.revision

    def _settled_canary(self) -> bool:
        wanted, out = self._wanted.canary, self._canary
        if wanted is not None and wanted.generation in self._refused:
            return out is None
        return (out.rule if out else None) == wanted

    def _warm_list(self) -> list[str]:
        """Most urgent first."""
        with self._lock:
            state, left = self._wanted, self._left
        former = state.history[::-1][: self._keep]
        canary = state.tried_out
        names = [state.champion, canary, state.staged, *former, left]
        return list(dict.fromkeys(name for name in names if name is not None))

    def _encode_new_items(self) -> None:
        """New and changed items; what cannot be encoded stays as it was, and is not listed."""
        try:
            self._swap.ensure(self._catalogue)
        except GenerationRefused as error:
            if self._catalogue.version != self._stuck_at:
                log.error("new items are not recommended: %s", error)  # noqa: TRY400 - said, not traced
            self._stuck_at = self._catalogue.version

    def _load(self, generation: str) -> None:
        try:
            self._swap.stage(generation, self._store.get(generation), self._catalogue)
        except GenerationRefused as error:
            with self._lock:
                self._refused[generation] = str(error)
            log.error("%s is refused, nothing changes here: %s", generation, error)  # noqa: TRY400 - said, not traced
        else:
            log.info("%s is loaded and ready", generation)
        self._changed()
