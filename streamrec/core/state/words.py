"""Words of the items' titles: which items share one, and how much that says.

A sequel, a series, an author, a brand or a year often shows in one word, which vectors of whole
texts blur. A word weighs its rarity, log(items / items that have it) (Spärck Jones 1972).

Where a script puts no blanks between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese), each two
neighbouring characters stand for a word, as search engines do it (Lucene's CJK bigrams). A
character is a letter with its marks. A letter is the same however it is encoded, wide or not.

Legend: N catalogue rows, L words of one title, W distinct words, H history, T candidates,
E (word, item) entries, B users, P items of their histories, K (user, word) of a history.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import FloatArray
from streamrec.core.state.last_items import LastItems

TITLE_WORDS = 16
"""Words of one title that count: its first ones."""
CELLS = 1 << 18
"""(user, word) cells that are looked up at once."""

_WORD = re.compile(r"\w+")
_WIDTHS = re.compile("[\uff00-\uffef]")
"""Latin letters as wide as Chinese characters, and Japanese syllables half as wide."""

_BLANKLESS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # Chinese: repeat marks
    (0x3040, 0x30FF),  # Japanese: hiragana, katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Chinese characters
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""Code points of scripts that put no blanks between words."""


def words_of(title: str) -> list[str]:
    """The distinct words of a title that count, in order; letter case does not."""
    found = _WORD.findall(title.casefold()) if title.isascii() else _any_script(title)
    return list(dict.fromkeys(found))[:TITLE_WORDS]


def _any_script(title: str) -> Iterator[str]:
    form: Literal["NFC", "NFKC"] = "NFKC" if _WIDTHS.search(title) else "NFC"
    text = unicodedata.normalize(form, title).casefold()
    for run in _runs(text):
        for alone, group in groupby(run, blankless):
            letters = list(group)
            yield from _pairs(letters) if alone else ["".join(letters)]


def _runs(text: str) -> Iterator[list[str]]:
    """Letters and digits without anything between them, each with its marks."""
    run: list[str] = []
    for character in text:
        if character.isalnum() or character == "_":
            run.append(character)
        elif run and unicodedata.category(character).startswith("M"):
            run[-1] += character
        elif run:
            yield run
            run = []
    if run:
        yield run


def blankless(letter: str) -> bool:
    """Whether it is of a script that puts no blanks between words; marks behind it do not count."""
    code = ord(letter[0])
    return any(first <= code <= last for first, last in _BLANKLESS)


def _pairs(letters: list[str]) -> list[str]:
    if len(letters) == 1:
        return letters
    return [first + second for first, second in pairwise(letters)]


class TitleWords:
    """Every title's words at one moment, and every word's titles."""

    def __init__(self, words_NL: NDArray[np.integer[Any]], count: int) -> None:
        """``words_NL``: numbers below ``count``, which itself is padding."""
        titles = len(words_NL)
        self._words_NL = words_NL
        having_W = np.bincount(words_NL.ravel(), minlength=count + 1)
        rarity_W = np.log(max(titles, 1) / np.maximum(having_W, 1))
        rarity_W[having_W < 2] = 0.0  # shared with no one
        rarity_W[count] = 0.0
        self._rarity_W = rarity_W.astype(np.float32)
        by_word_E = np.argsort(words_NL.ravel(), kind="stable")
        self._rows_E: NDArray[np.int64] = by_word_E // max(1, words_NL.shape[1])
        self._ends_W = np.cumsum(having_W)

    def taste(self, newest_first_H: NDArray[np.integer[Any]], decay: float) -> FloatArray:
        """Share of each word in a history × its rarity; the n-th item weighs decay^n. (W + 1,)."""
        length, words = len(self._rarity_W), self._words_NL[newest_first_H]
        if not len(newest_first_H):
            return np.zeros(length, np.float32)
        weights_H = decay ** np.arange(len(newest_first_H))
        weights_HL = np.broadcast_to(weights_H[:, None], words.shape)
        share_W = np.bincount(words.ravel(), weights_HL.ravel(), length) / weights_H.sum()
        return np.asarray(share_W.astype(np.float32) * self._rarity_W)

    def bests(
        self, last: LastItems, decay: float, rows_T: NDArray[np.int64], user_T: NDArray[np.intp]
    ) -> FloatArray:
        """The weightiest word of each title by its user's ``taste``, 0 where none is in it. (T,).

        ``last``: the users' histories.
        """
        best_T = np.zeros(len(rows_T), np.float32)
        keys_K, weights_K, starts_B = self._tastes(last, decay)
        length, users = len(self._rarity_W), len(starts_B) - 1
        some = max(1, CELLS // length)
        by_user_T = np.argsort(user_T, kind="stable")
        starts_T = np.searchsorted(user_T[by_user_T], np.arange(users + 1))
        weight = np.zeros(min(some, users) * length, np.float32)  # of a word to a user
        for first in range(0, users, some):  # so many that it stays in a cache
            until = min(first + some, users)
            known = slice(starts_B[first], starts_B[until])
            own_T = by_user_T[starts_T[first] : starts_T[until]]
            weight[keys_K[known] - first * length] = weights_K[known]
            cells_TL = (user_T[own_T, None] - first) * length + self._words_NL[rows_T[own_T]]
            best_T[own_T] = weight[cells_TL].max(axis=1, initial=0.0)
            weight[keys_K[known] - first * length] = 0.0
        return best_T

    def _tastes(
        self, last: LastItems, decay: float
    ) -> tuple[NDArray[np.int64], FloatArray, NDArray[np.intp]]:
        """``taste`` of each user: user × (W + 1) + word and weight, where it is any; and where each
        user's begin."""
        length, users = len(self._rarity_W), len(last.lengths())
        words_PL = self._words_NL[last.rows_P]
        keys_K, at_PL = np.unique(last.user_P[:, None] * length + words_PL, return_inverse=True)
        weights_PL = np.broadcast_to((decay**last.nth_P)[:, None], words_PL.shape)
        sums_K = np.bincount(at_PL.ravel(), weights_PL.ravel(), len(keys_K))
        longest = int(last.lengths().max(initial=0))
        totals = np.array([(decay ** np.arange(n)).sum() for n in range(longest + 1)])
        share_K = sums_K / totals[last.lengths()[keys_K // length]]
        weights_K = share_K.astype(np.float32) * self._rarity_W[keys_K % length]
        return keys_K, weights_K, np.searchsorted(keys_K, np.arange(users + 1) * length)

    def best_of_all(self, taste_W: FloatArray) -> FloatArray:
        """``best`` of every catalogue row, by way of the few words that weigh. (N,)."""
        best_N = np.zeros(len(self._words_NL), np.float32)
        weighing = np.flatnonzero(taste_W)
        lightest_first = weighing[np.argsort(taste_W[weighing])].tolist()
        for word in lightest_first:  # the weightiest is written last, and stays
            best_N[self._titles(word)] = taste_W[word]
        return best_N

    def sharing(self, taste_W: FloatArray, most: int) -> NDArray[np.int64]:
        """Rows whose titles have the weightiest words, about ``most`` of them in all: words from
        the weightiest on for as long as all their titles have room."""
        found: list[NDArray[np.int64]] = []
        weighing = np.flatnonzero(taste_W)
        for word in weighing[np.argsort(-taste_W[weighing], kind="stable")].tolist():
            titles = self._titles(word)
            if len(titles) <= most:
                found.append(titles)
                most -= len(titles)
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def _titles(self, word: int) -> NDArray[np.int64]:
        start = int(self._ends_W[word - 1]) if word else 0
        return self._rows_E[start : int(self._ends_W[word])]


class Vocabulary:
    """Numbers of words, in the order they came."""

    def __init__(self) -> None:
        self._number_of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._number_of)

    def padded(self, words: Iterable[str]) -> NDArray[np.int32]:
        """Numbers of a title's words, new ones included; -1 behind. (L,)."""
        numbers_L = np.full(TITLE_WORDS, -1, np.int32)
        for slot, word in enumerate(words):
            numbers_L[slot] = self._number_of.setdefault(word, len(self._number_of))
        return numbers_L
