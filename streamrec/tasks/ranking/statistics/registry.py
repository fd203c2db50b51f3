"""All live statistics, and what is derived from their declarations."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from streamrec.core.state.counters import distinct
from streamrec.tasks.ranking.statistics.activity import Activity
from streamrec.tasks.ranking.statistics.ages import Ages
from streamrec.tasks.ranking.statistics.categories import Affinity, CategoryPopularity
from streamrec.tasks.ranking.statistics.co_occurrences import CoOccurrences
from streamrec.tasks.ranking.statistics.declaration import (
    InputColumn,
    ItemStatistic,
    PairStatistic,
    Statistic,
    UserStatistic,
)
from streamrec.tasks.ranking.statistics.gaps import AgeGap, PopularityGap
from streamrec.tasks.ranking.statistics.popularity import Accepts, Rates, Views
from streamrec.tasks.ranking.statistics.words import SharedWord


class StatisticSet:
    """Declared statistics: of items, then of pairs, then of users, each as they were given.

    Raises ValueError where two columns, or two counters, have one name.
    """

    def __init__(self, declared: Sequence[type[Statistic]]) -> None:
        self.items = tuple(one for one in declared if issubclass(one, ItemStatistic))
        self.pairs = tuple(one for one in declared if issubclass(one, PairStatistic))
        self.users = tuple(one for one in declared if issubclass(one, UserStatistic))
        self.columns = (*columns_of(self.items), *columns_of(self.pairs), *columns_of(self.users))
        self.names = tuple(column.name for column in self.columns)
        self.counters = distinct(one.counter for one in declared if one.counter is not None)
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise ValueError(f"declared more than once: {', '.join(repeated)}")

    @property
    def digest(self) -> str:
        """Names the columns, in order: examples of another set do not fit."""
        return digest(self.names)


def digest(names: Sequence[str]) -> str:
    """Of the columns of a feature set."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]


def columns_of(declared: Sequence[type[Statistic]]) -> tuple[InputColumn, ...]:
    """Their columns, in order."""
    return tuple(column for one in declared for column in one.columns)


STATISTICS = StatisticSet(
    (
        Accepts,
        Views,
        Rates,
        Ages,
        CategoryPopularity,
        Affinity,
        CoOccurrences,
        PopularityGap,
        AgeGap,
        SharedWord,
        Activity,
    )
)
