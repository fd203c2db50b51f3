"""Which tokens may come next, so that a reply names nothing but what its grammar offers.

Knows a tokenizer's vocabulary and a ``Grammar``. Does not know the language model, nor what the
labels of slots stand for.

Plain text is written of tokens without forbidden characters, so that no plain text can look like
a slot. A slot is written as the tokenizer writes ``[[1]]``: opened by one of its first tokens, then
led to its end. Where so few tokens are left that the slots still owed just fit, one is opened.
Slots of the list are owed; others are opened only where room for those is left.

Shapes: V tokens of the model's vocabulary, T of a reply.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from streamrec.errors import SettingsError
from streamrec.ports import Grammar

SPARE = 6
"""Tokens for what follows a slot that had to be opened for want of room."""

KEPT_MASKS = 512


class TokenVocabulary:
    """The tokens of a tokenizer by what they may be used for. Safe to share between threads."""

    def __init__(self, tokenizer: Any, size: int, ends: Iterable[int]) -> None:
        """``size``: V, which may be more than the tokenizer has. ``ends``: what ends a reply."""
        self.size = size
        self.ends = frozenset(ends)
        self._tokenizer = tokenizer
        known = min(size, len(tokenizer))
        self._texts = tokenizer.batch_decode([[token] for token in range(known)])
        self._special = {*tokenizer.get_added_vocab().values(), *self.ends}
        self._plain: dict[str, Tensor] = {}
        self._lock = threading.Lock()

    def plain(self, forbidden: str) -> Tensor:
        """(V,) bool: tokens of plain text; shared, so not to be written to."""
        with self._lock:
            if forbidden not in self._plain:
                mask_V = torch.zeros(self.size, dtype=torch.bool)
                for token, text in enumerate(self._texts):
                    mask_V[token] = token not in self._special and _is_plain(text, forbidden)
                self._plain[forbidden] = mask_V
            return self._plain[forbidden]

    def encoded(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def slot(self, label: str) -> list[tuple[int, ...]]:
        """The ways to write ``[[label]]``: at the start of a word, and within one.

        Raises SettingsError where the tokenizer has no such characters.
        """
        found = []
        for written in (f"[[{label}]]", f" [[{label}]]"):
            tokens = self.encoded(written)
            if self._tokenizer.decode(tokens).strip() != written.strip():
                raise SettingsError([f"the model's tokenizer cannot write {written}"])
            start = next(i for i, token in enumerate(tokens) if "[" in self._texts[token])
            found.append(tuple(tokens[start:]))  # a space of its own before it is plain text
        return sorted(set(found))


_SLOT = re.compile(r"( ?\[\[\w+\]\])")


def _is_plain(text: str, forbidden: str) -> bool:
    return bool(text) and not any(
        letter in forbidden or unicodedata.category(letter) == "Cc" for letter in text
    )


@dataclass(frozen=True, slots=True)
class PlaceInReply:
    """Where in a reply one is. ``path``: the tokens of a slot that is open."""

    written: int = 0
    used: frozenset[str] = frozenset()
    path: tuple[int, ...] = ()


START = PlaceInReply()


@dataclass(slots=True)
class Constraint:
    """A grammar over a vocabulary. Safe to share between threads."""

    vocabulary: TokenVocabulary
    grammar: Grammar
    _slots: list[tuple[str, tuple[int, ...]]] = field(init=False)
    _masks: dict[Any, Tensor] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._slots = [
            (label, tokens)
            for label in self.grammar.slots
            for tokens in self.vocabulary.slot(label)
        ]

    @property
    def max_tokens(self) -> int:
        return self.grammar.max_tokens

    def ends(self, token: int) -> bool:
        """Whether this token ends a reply."""
        return token in self.vocabulary.ends

    def allowed(self, place: PlaceInReply) -> Tensor:
        """(V,) bool: what may come next; never nothing. Shared, so not to be written to."""
        may = (self._plain_may(place), self._beside_may(place), self._room(place))
        key = (place.path, place.used, may)
        mask_V = self._masks.get(key)
        if mask_V is None:
            if len(self._masks) > KEPT_MASKS:
                self._masks.clear()
            mask_V = self._masks[key] = self._allowed(place)
        return mask_V

    def after(self, place: PlaceInReply, token: int) -> PlaceInReply:
        """Where one is when ``token`` has been written, which was allowed."""
        written = place.written + 1
        if not place.path and all(token != tokens[0] for _, tokens in self._slots):
            return replace(place, written=written)
        path = (*place.path, token)
        for label, tokens in self._open(replace(place, path=path)):
            if tokens == path:
                return PlaceInReply(written, place.used | {label})
        return PlaceInReply(written, place.used, path)

    def masks(self, tokens: Sequence[int]) -> Tensor:
        """(T, V) bool: what was allowed at each token of a reply.

        Raises ValueError where one of them was not.
        """
        place, rows = START, []
        for token in tokens:
            rows.append(self.allowed(place))
            if not rows[-1][token]:
                raise ValueError(f"token {token} at {place.written} is not of the grammar")
            place = self.after(place, token)
        return torch.stack(rows) if rows else torch.zeros(0, self.vocabulary.size, dtype=torch.bool)

    def tokens(self, text: str) -> tuple[int, ...]:
        """A reply's text as the tokens that a model would write it with, and its end.

        Not what the tokenizer makes of the whole: that may be one token for ``]],``. Raises
        ValueError where the text is not of the grammar.
        """
        ids = [
            token
            for piece in _SLOT.split(text)
            for token in (self.vocabulary.encoded(piece) if piece else ())
        ]
        self.masks([*ids, end := min(self.vocabulary.ends)])
        return (*ids, end)

    def _allowed(self, place: PlaceInReply) -> Tensor:
        mask_V = torch.zeros(self.vocabulary.size, dtype=torch.bool)
        if self._plain_may(place):
            mask_V |= self.vocabulary.plain(self.grammar.forbidden)
            if self._owed(place) == 0:
                mask_V[list(self.vocabulary.ends)] = True
        if place.path or self._room(place):
            mask_V[[tokens[len(place.path)] for _, tokens in self._open(place)]] = True
        return mask_V

    def _open(self, place: PlaceInReply) -> list[tuple[str, tuple[int, ...]]]:
        """Slots that may be written on from here."""
        depth = len(place.path)
        beside = self._beside_may(place)
        return [
            (label, tokens)
            for label, tokens in self._slots
            if label not in place.used
            and tokens[:depth] == place.path
            and (beside or label.isdecimal())
        ]

    def _owed(self, place: PlaceInReply) -> int:
        return max(0, self.grammar.owed - sum(label.isdecimal() for label in place.used))

    def _beside_may(self, place: PlaceInReply) -> bool:
        """Whether what is owed still fits after a slot that is not of the list."""
        owed, begun = self._owed(place), len(place.path)
        room = self._left(place) + begun >= (owed + 1) * self._longest
        return len(place.used) + owed < self.grammar.most and (owed == 0 or room)

    def _left(self, place: PlaceInReply) -> int:
        return self.grammar.max_tokens - place.written

    def _plain_may(self, place: PlaceInReply) -> bool:
        """Whether plain text may go on: outside slots, while what is owed fits after it."""
        owed = self._owed(place)
        return not place.path and (owed == 0 or self._left(place) > owed * self._longest + SPARE)

    def _room(self, place: PlaceInReply) -> bool:
        """Whether one more slot may be opened."""
        fits = self._left(place) >= self._longest or self._owed(place) > 0
        return bool(self._open(place)) and fits and len(place.used) < self.grammar.most

    @property
    def _longest(self) -> int:
        return max((len(tokens) for _, tokens in self._slots), default=0)
