"""The weightiest word, by rarity, that a title shares with the user's history (docs/adr/0037)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import IntArray
from streamrec.core.state.last_items import last_items
from streamrec.tasks.ranking.statistics.declaration import (
    InputColumn,
    InputGroup,
    PairStatistic,
    silent,
)
from streamrec.tasks.ranking.statistics.moment import Moment

DECAY = 0.93
"""The n-th newest item of a history weighs this to the n."""
SHARING = 200
"""Titles that share the weightiest words with a history, more or less."""


class SharedWord(PairStatistic):
    columns = (InputColumn("shared_word", InputGroup.TEXT, silent),)

    def __init__(self, moment: Moment) -> None:
        self._words = moment.catalogue.title_words()

    def pairs(
        self, histories: Sequence[IntArray], rows_T: NDArray[np.int64], request_T: NDArray[np.intp]
    ) -> FloatArray:
        best_T = self._words.bests(last_items(histories), DECAY, rows_T, request_T)
        return best_T[:, None]

    def sharing(self, history: IntArray) -> IntArray:
        return self._words.sharing(self._taste(history), SHARING).astype(np.int32)

    def catalogue(self, histories: Sequence[IntArray], out_BCN: FloatArray) -> None:
        for (out_N,), history in zip(out_BCN, histories, strict=True):
            out_N[:] = self._words.best_of_all(self._taste(history))

    def _taste(self, history: IntArray) -> FloatArray:
        return self._words.taste(history[history >= 0][::-1], DECAY)
