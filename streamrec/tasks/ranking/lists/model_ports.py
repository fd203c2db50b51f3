"""What lists ask of a ranking model.

Shapes: B users, Q texts, N catalogue rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import IntArray
from streamrec.core.state.user_state import UserState
from streamrec.tasks.ranking.features import FeatureMaker


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """What scores were made of. T (user, item) pairs, D inputs, G groups, H history."""

    raw_TD: FloatArray  # inputs as they were computed
    standard_TD: FloatArray  # as the head sees them: 0 is usual, ±1 a deviation
    parts_TG: (
        FloatArray  # what each group adds to the score (``tasks.ranking.lists.reasons.GROUPS``)
    )
    closeness_TH: FloatArray  # cosine with each of the user's known items, newest first


class Ranking(Protocol):
    """Scores (B, N), and an account of some of them while it is held."""

    @property
    def scores_BN(self) -> FloatArray: ...  # noqa: N802 - a shape

    @property
    def names(self) -> tuple[str, ...]:
        """Of the D inputs."""
        ...

    def account(self, users_T: IntArray, rows_T: IntArray) -> Account: ...


class RankingModel(Protocol):
    """One generation, whole and checked, ready to rank.

    Its weights never change. Its item vectors follow the catalogue (``HotSwap.ensure``);
    one call sees one state of them. Shapes: B users, Q texts, N catalogue rows that
    ``features`` was made of.
    """

    @property
    def generation(self) -> str: ...

    @property
    def trained_through(self) -> Mapping[str, int]:
        """Source partition (as text) -> next offset it was not trained on."""
        ...

    def rank(
        self, users: Sequence[UserState], now_ms: Sequence[int], features: FeatureMaker
    ) -> FloatArray:
        """Scores (B, N) of every catalogue row for each user; more is better."""
        ...

    def ranking(
        self, users: Sequence[UserState], now_ms: Sequence[int], features: FeatureMaker
    ) -> Ranking:
        """``rank``, and what is needed to account for some of the scores afterwards."""
        ...

    def probability(self, scores: FloatArray) -> FloatArray:
        """P(accept | shown) of scores, of any shape; keeps their order."""
        ...

    def query_similarities(self, queries: Sequence[str], rows: int) -> FloatArray:
        """Cosine of each text with the first ``rows`` catalogue rows: (Q, rows)."""
        ...
