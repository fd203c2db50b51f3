"""A candidate on trial: fresh examples scored by it and champions before anyone learns them.

Knows when a trial has seen enough. Does not know what follows from the verdict
(``loop.training.candidates``), nor how an example is judged (the task's ``Judge``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamrec.core.examples import Example
from streamrec.core.ledger.ledger import Ledger
from streamrec.core.release.gate import Verdict
from streamrec.ports import Judge, Scorer


@dataclass(frozen=True, slots=True)
class Former:
    """A former champion, still at hand."""

    generation: str
    scorer: Scorer


@dataclass(frozen=True, slots=True)
class Champion:
    """What candidates are compared with. ``generation`` is None before the first release."""

    generation: str | None
    scorer: Scorer
    anchor: Former | None = None  # of some releases ago: nobody may have sunk below it


@dataclass(frozen=True, slots=True)
class Candidate:
    """The learner's weights at one moment, and what they had learned by then."""

    sequence: int
    scorer: Scorer
    ledger: Ledger
    next_batch: int  # training-batches before this offset had been learned
    made_at_ms: int
    epoch: int = 0  # the relearn it was learned after


class Trial:
    """One candidate against one champion."""

    def __init__(self, candidate: Candidate, champion: Champion, judge: Judge) -> None:
        self.candidate = candidate
        self._scorer = candidate.scorer
        self._champion = champion
        self._judge = judge
        self._judged: list[Any] = []

    @property
    def examples(self) -> int:
        return len(self._judged)

    def watch(self, fresh: Sequence[Example]) -> None:
        """Score examples that neither has learned from."""
        if not fresh:
            return
        champion, anchor = self._champion, self._champion.anchor
        ours = self._scorer.score(fresh)
        theirs = champion.scorer.score(fresh)
        once: Sequence[Any] = [None] * len(fresh)
        if anchor is not None:
            once = anchor.scorer.score(fresh)
        self._judged += map(self._judge.judge, fresh, ours, theirs, once)

    def restart(self, champion: Champion) -> None:
        """The champion has changed: what was compared with the old one says nothing."""
        self._champion = champion
        self._judged = []

    def due(self, now_ms: int, examples: int, seconds: float) -> bool:
        """Whether enough was seen: ``examples``, or a tenth of them after ``seconds``."""
        if len(self._judged) >= examples:
            return True
        late = now_ms - self.candidate.made_at_ms >= seconds * 1000
        return late and len(self._judged) >= max(1, examples // 10)

    def verdict(self, norms: Mapping[str, float]) -> Verdict:
        """``norms``: how far the candidate's weights are from the champion's."""
        champion, anchor = self._champion, self._champion.anchor
        name = champion.generation or "untrained"
        return self._judge.verdict(self._judged, name, norms, anchor.generation if anchor else None)
