"""What lists ask of a ranking model.

Shapes: B users, A texts, N catalogue rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


class Accounted(ABC):
    """Scores of which an account can be given while they are held."""

    names: tuple[str, ...]  # of the D inputs

    @abstractmethod
    def account(self, users_T: IntArray, rows_T: IntArray) -> Account:
        """Of these (user, catalogue row) pairs."""


class Ranking(Accounted):
    """Scores (B, N) of every catalogue row."""

    scores_BN: FloatArray


class CandidateScores(Accounted):
    """Of each user some catalogue rows, ascending, their scores, and what her query adds."""

    rows: Sequence[IntArray]
    scores: Sequence[FloatArray]
    asked: Sequence[FloatArray | None]


@dataclass(frozen=True, slots=True, eq=False)
class PoolRequest:
    """A list that candidates are needed for. ``reach``: items that have to be found, if there are
    as many; ``among``: rows that the request leaves, ascending; None: it leaves all."""

    user: UserState
    now_ms: int
    reach: int
    query: str = ""
    among: IntArray | None = None


class RankingModel(ABC):
    """A ``ports.ServingModel`` ready to rank.

    Its weights never change. Its item vectors follow the catalogue (``HotSwap.ensure``);
    one call sees one state of them. Shapes: B users, A texts, N catalogue rows that
    ``features`` was made of.
    """

    @property
    @abstractmethod
    def generation(self) -> str: ...

    @property
    @abstractmethod
    def trained_through(self) -> Mapping[str, int]:
        """Source partition (as text) -> next offset it was not trained on."""

    @abstractmethod
    def rank(
        self, users: Sequence[UserState], now_ms: Sequence[int], features: FeatureMaker
    ) -> FloatArray:
        """Scores (B, N) of every catalogue row for each user; more is better."""

    @abstractmethod
    def ranking(
        self, users: Sequence[UserState], now_ms: Sequence[int], features: FeatureMaker
    ) -> Ranking:
        """``rank``, and what is needed to account for some of the scores afterwards."""

    @abstractmethod
    def probability(self, scores: FloatArray) -> FloatArray:
        """P(accept | shown) of scores, of any shape; keeps their order."""

    @abstractmethod
    def asked_for(
        self, ranking: Ranking, users_A: Sequence[int], queries: Sequence[str]
    ) -> FloatArray:
        """What each text adds to the scores of its user, a row of the ranking: (A, N)."""

    @abstractmethod
    def prepare(self, features: FeatureMaker) -> None:
        """What ``candidates`` needs of statistics, made ahead by the thread that refreshes."""

    @property
    @abstractmethod
    def has_candidates(self) -> bool:
        """Whether not every item is scored for a list."""

    @abstractmethod
    def candidates(self, asked: Sequence[PoolRequest], features: FeatureMaker) -> CandidateScores:
        """Some hundred rows of each, scored as ``ranking`` does. Only where it has some."""

    @abstractmethod
    def exact(self, user: UserState, now_ms: int, features: FeatureMaker) -> FloatArray:
        """``rank`` of one user in bounded memory, for any thread that sees no change: (N,)."""
