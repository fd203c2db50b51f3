"""Which wordings nobody is to be shown: too long, or with a word that is blocked.

Knows words and lengths; does not know where the list of words is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from streamrec.core.events import Item
from streamrec.core.variants.credit import digest24
from streamrec.errors import InvalidField

_WORD = re.compile(r"\w+")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af]")
"""Scripts that put no blanks between words, or not always."""


@dataclass(frozen=True, slots=True)
class WordingRules:
    """``max_chars``: of a title; 0: any length. ``blocked``: words, or several in a row."""

    max_chars: int = 0
    blocked: tuple[str, ...] = ()

    def check(self, item: Item) -> None:
        """Raises InvalidField, naming the variant and what is wrong with it."""
        self._distinct(item)
        for variant in item.variants:
            where = f"variant {variant.variant_id!r} of {item.item_id!r}"
            if self.max_chars and len(variant.title) > self.max_chars:
                raise InvalidField(
                    f"{where} has a title of {len(variant.title)} characters; at most "
                    f"{self.max_chars} are allowed (STREAMREC_COPY_MAX_CHARS)"
                )
            for words in self.blocked:
                if has_words(f"{variant.title} {variant.text}", words):
                    raise InvalidField(
                        f"{where} has {words!r}, which STREAMREC_COPY_BLOCKED_FILE blocks"
                    )

    def _distinct(self, item: Item) -> None:
        """Counts are kept by digest: two of one digest would be counted as one."""
        by_digest: dict[int, str] = {}
        for variant in item.variants:
            other = by_digest.setdefault(digest24(variant.variant_id), variant.variant_id)
            if other != variant.variant_id:
                raise InvalidField(
                    f"variants {other!r} and {variant.variant_id!r} of {item.item_id!r} cannot be "
                    "told apart by their digests: rename one"
                )


def has_words(text: str, words: str) -> bool:
    """Whole words, whatever their case; anywhere, where a script puts no blanks between them."""
    wanted = _plain(words)
    if not wanted:
        return False
    if _UNSPACED.search(words):
        return words.casefold().strip() in text.casefold()
    return f" {wanted} " in f" {_plain(text)} "


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))
