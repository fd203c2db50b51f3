"""A text as the tokens that rules look at: without case, accents and plurals.

A token is a word, a number, a sign of money or of punctuation; of Chinese and Japanese, a
character. Knows no meaning.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

LONGEST = 120
"""Tokens of a query that are read."""

_TOKEN = re.compile(
    r"\d+(?:[.,]\d+)?|[\u3040-\u30ff\u3400-\u9fff]|[^\W\d_\u3040-\u30ff\u3400-\u9fff]+"
    r"|[$€£¥]|[.,;:!?。，；：！？、]"
)
_ELIDED = re.compile(r"\b(d|l|qu|n|j|c|s|m|t)['’](?=\w)", re.IGNORECASE)
_SPAN = re.compile(r"(\d)\s*[-–—]\s*(?=\d)")
_UPWARDS = re.compile(r"(\d)\+")
_STOPS = {"。": ".", "，": ",", "；": ";", "：": ":", "！": "!", "？": "?", "、": ","}
_KEPT_S = ("ss", "us", "is")
_KEPT = frozenset({"news", "series"})


@dataclass(frozen=True, slots=True)
class SpokenToken:
    """``word``: as it is compared. ``capital``, ``plural``: whether it was written so."""

    word: str
    capital: bool = False
    plural: bool = False


def tokens(text: str) -> list[SpokenToken]:
    """At most ``LONGEST``."""
    wide = _SPAN.sub(r"\1 to ", unicodedata.normalize("NFKC", text))
    wide = _UPWARDS.sub(r"\1 or more", wide)
    plain = _ELIDED.sub(r"\1 ", wide).replace("'", "").replace("’", "")
    found = _TOKEN.findall(plain)[:LONGEST]
    return [SpokenToken(_compared(one), one[:1].isupper(), one[-1:] in "sS") for one in found]


@lru_cache(maxsize=65536)
def phrase(text: str) -> str:
    """A name as its tokens, with blanks between them: what phrases are looked up by."""
    return " ".join(token.word for token in tokens(text) if token.word not in ".,;:!?")


@lru_cache(maxsize=65536)
def _compared(token: str) -> str:
    if token in _STOPS:
        return _STOPS[token]
    decomposed = unicodedata.normalize("NFD", token.casefold())
    bare = "".join(one for one in decomposed if unicodedata.category(one) != "Mn")
    return _singular(unicodedata.normalize("NFC", bare))


def _singular(word: str) -> str:
    """Near enough, of words in five languages: what counts is that both sides get the same."""
    if word.endswith("s") and len(word) > 3 and not word.endswith(_KEPT_S) and word not in _KEPT:
        word = word[:-2] if word.endswith(("ches", "shes", "xes", "sses")) else word[:-1]
    return f"{word[:-2]}y" if word.endswith("ie") and len(word) > 4 else word
