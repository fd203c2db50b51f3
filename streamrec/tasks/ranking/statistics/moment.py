"""Statistics and catalogue that stand still, and what is made of them once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.statistics import Statistics

Made = TypeVar("Made")


class Moment:
    """All statistics speak of its watermark. Make a new one when statistics have moved."""

    def __init__(self, statistics: Statistics, catalogue: Catalogue) -> None:
        self.statistics = statistics
        self.catalogue = catalogue
        self.counts = statistics.counts()
        self._made: dict[Callable[[Moment], Any], Any] = {}

    def __len__(self) -> int:
        """Rows of the catalogue."""
        return len(self.catalogue)

    def once(self, make: Callable[[Moment], Made]) -> Made:
        """``make`` of this moment, the same for everybody who asks: what statistics share.

        What is made must not keep the moment: a circle would hold its arrays until the collector
        comes.
        """
        if make not in self._made:
            self._made[make] = make(self)
        return cast("Made", self._made[make])
