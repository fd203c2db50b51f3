"""Reasons for the items of a micro-batch, and what is kept to explain them later.

Knows how much is kept, and that an explanation is never worth an answer: when the store is
away, lists go out unexplained. Does not know what an item's parts are made of
(``tasks.ranking.model.shapley``) or where explanations are kept.

Order, for one micro-batch:

1. while the ranking is at hand, account for the items that were chosen, all at once;
2. give each its reason;
3. write the explanations, in one go, before the lists are published: whoever reads a list
   can ask at once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from streamrec.core.events import Recommendation
from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import IntArray
from streamrec.core.state.user_state import UserState
from streamrec.errors import Unavailable
from streamrec.tasks.ranking.inputs import RECENT
from streamrec.tasks.ranking.lists.explanation import Explanation
from streamrec.tasks.ranking.lists.explanations_port import Explanations
from streamrec.tasks.ranking.lists.model_ports import Account, Accounted
from streamrec.tasks.ranking.lists.reasons import reason
from streamrec.tasks.ranking.lists.state_mirror import View
from streamrec.tasks.ranking.statistics.declaration import ReasonInputs

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """The chosen rows of one list, best first, and whose they are (a row of the ranking)."""

    user: int
    state: UserState
    rows: IntArray
    scores: FloatArray
    query: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """One list with everything that can be said of it."""

    reasons: tuple[str, ...]
    listed: Listed
    raw_KD: FloatArray
    closeness_KH: FloatArray
    history: tuple[str, ...]
    names: tuple[str, ...]
    statistics: dict[str, int]
    watermark_ms: int


EXPLAINED_PER_S = 20.0
"""An explanation is about 3 KB in Redis."""


@dataclass(slots=True)
class Explainer:
    """``kept``: where explanations go; None: nowhere. At most ``per_s`` a second are kept."""

    kept: Explanations | None = None
    per_s: float = EXPLAINED_PER_S
    _credit: float = 0.0
    _counted_ms: int = 0
    _away: bool = field(default=False)

    def explain(self, lists: Sequence[Listed], ranking: Accounted, view: View) -> list[Explained]:
        """One for each list, while the ranking is at hand."""
        sizes = [len(one.rows) for one in lists]
        users_T = np.repeat(np.array([one.user for one in lists], np.int32), sizes)
        rows_T = np.concatenate([one.rows for one in lists]) if lists else np.zeros(0, np.int32)
        account = ranking.account(users_T, rows_T)
        positions = {str(source): position for source, position in view.positions.items()}
        at = {name: place for place, name in enumerate(ranking.names)}
        found, start = [], 0
        for one, size in zip(lists, sizes, strict=True):
            own = slice(start, start + size)
            history, titles = _known(one.state, view)
            found.append(
                Explained(
                    reasons=tuple(_reason(account, t, at, titles) for t in range(start, own.stop)),
                    listed=one,
                    raw_KD=account.raw_TD[own],
                    closeness_KH=account.closeness_TH[own, : len(history)],
                    history=history,
                    names=ranking.names,
                    statistics=positions,
                    watermark_ms=view.watermark_ms,
                )
            )
            start = own.stop
        return found

    def keep(self, answers: Sequence[tuple[Recommendation, Explained]], now_ms: int) -> None:
        """Remember as many as the rate allows, the first ones first."""
        if self.kept is None or not answers:
            return
        few = answers[: self._allowed(len(answers), now_ms)]
        try:
            self.kept.keep([_explanation(answer, explained) for answer, explained in few])
        except Unavailable as error:
            if not self._away:
                log.warning("lists go out without being explained: %s", error)
            self._away = True
        else:
            self._away = False

    def _allowed(self, wanted: int, now_ms: int) -> int:
        """A token bucket that holds one second's worth, but at least one list's."""
        most = max(1.0, self.per_s)
        elapsed_s = max(0, now_ms - self._counted_ms) / 1000
        self._credit = min(most, self._credit + elapsed_s * self.per_s)
        self._counted_ms = now_ms
        allowed = min(wanted, int(self._credit))
        self._credit -= allowed
        return allowed


def _known(state: UserState, view: View) -> tuple[tuple[str, ...], list[str]]:
    """Ids and titles of the user's items that the catalogue knows, newest first."""
    rows = view.catalogue.rows(state.history)
    known = rows[rows >= 0][::-1]
    ids = view.catalogue.ids(known)
    titles = [view.catalogue.item(int(row)).title for row in known]
    return tuple(ids), [title or item_id for title, item_id in zip(titles, ids, strict=True)]


def _reason(account: Account, t: int, at: Mapping[str, int], titles: Sequence[str]) -> str:
    closest = account.closeness_TH[t, : min(len(titles), RECENT)]
    return reason(
        ReasonInputs(
            parts_G=account.parts_TG[t],
            raw_D=account.raw_TD[t],
            standard_D=account.standard_TD[t],
            at=at,
            nearest=titles[int(closest.argmax())] if titles else None,
            last=titles[0] if titles else None,
        )
    )


def _explanation(answer: Recommendation, explained: Explained) -> Explanation:
    return Explanation(
        recommendation_id=answer.recommendation_id,
        user_id=answer.user_id,
        generation=answer.generation,
        worker_id=answer.worker_id,
        items=tuple(item.item_id for item in answer.items),
        scores_K=explained.listed.scores,
        probabilities_K=np.array([item.probability for item in answer.items], np.float32),
        raw_KD=explained.raw_KD,
        closeness_KH=explained.closeness_KH,
        history=explained.history,
        names=explained.names,
        query=explained.listed.query,
        state_position=answer.state_position,
        statistics=explained.statistics,
        watermark_ms=explained.watermark_ms,
        user_seen_ms=explained.listed.state.last_seen_ms,
        served_at_ms=answer.served_at_ms,
    )
