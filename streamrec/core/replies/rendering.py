"""From what a model wrote to what a person reads: titles in the place of slots.

Knows which items a reply names, and where. Does not know whether it may be said (``checks``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from streamrec.core.events import Item
from streamrec.core.replies.brief import HISTORY, LISTED, Brief
from streamrec.core.replies.foreign import plain, shown
from streamrec.core.replies.names import SMALL, Names, outermost
from streamrec.core.replies.personal import masked
from streamrec.core.replies.refusals import Refusal
from streamrec.errors import ReplyRefused

_SLOT = re.compile(r"\[\[\s*([0-9A-Za-z]{1,3})\s*\]\]")
MARKS = "[]{}<>|`#\\*_~^="
"""Characters that no reply has outside its titles: of slots, tags and markup."""

_MARKUP = re.compile(f"[{re.escape(MARKS)}]")
_CLOSING = r"""["'”’“)»」』]*"""
_END = re.compile(rf"[.!?…]+{_CLOSING}(?=\s|$)|[。！？]+{_CLOSING}")
_STOP = re.compile(r"[.!?…。！？]$")
_WIDE = {"zh", "ja"}
"""Languages whose full stop is another one."""


class TitleSpan(NamedTuple):
    """Where in the text an item's title stands. ``end`` is exclusive."""

    start: int
    end: int
    item_id: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """``items``: of the list, in the order they are named; ``from_history``: of the history.

    ``spans``: the titles that code has put there. ``cut``: the model wrote an unfinished sentence
    at the end, which is left out.
    """

    text: str
    items: tuple[str, ...]
    from_history: tuple[str, ...]
    spans: tuple[TitleSpan, ...] = ()
    cut: bool = False

    def in_title(self, start: int, end: int) -> bool:
        """Whether that part of the text lies in a title that code has put there."""
        return any(span.start <= start and end <= span.end for span in self.spans)

    @property
    def prose(self) -> str:
        """The text without those titles."""
        text, at = "", 0
        for span in self.spans:
            text, at = text + self.text[at : span.start] + " ", span.end
        return text + self.text[at:]


def title_of(item: Item) -> str:
    """As a reply says it."""
    return shown(item.title) or shown(item.item_id) or "?"


def rendered(brief: Brief, written: str) -> Rendered:
    """Raises ReplyRefused: a slot that the brief has not, none of the list, marks that are no
    words, or no finished sentence."""
    line = plain(written)
    by_slot = brief.by_slot
    for name in _SLOT.findall(line):
        if name.upper() not in by_slot:
            raise ReplyRefused(Refusal.UNKNOWN_SLOT, f"{name!r} is no slot of the brief")
    if _MARKUP.search(_SLOT.sub("", line)):
        raise ReplyRefused(Refusal.MARKUP, "there are marks in it that are no words")
    whole = _finished(line, "。" if brief.language in _WIDE else ".")
    text, spans = _filled(whole, by_slot)
    named = {name.upper(): None for name in _SLOT.findall(whole)}
    items = tuple(by_slot[name].item_id for name in named if name in LISTED)
    if brief.listed and not items:
        unfinished = any(name in LISTED for name in _SLOT.findall(line))
        code = Refusal.UNFINISHED if unfinished else Refusal.NO_ITEM
        raise ReplyRefused(code, "no finished sentence of it names an item of the list")
    if not text:
        raise ReplyRefused(Refusal.UNFINISHED, "no sentence of it has an end")
    had = tuple(by_slot[name].item_id for name in named if name in HISTORY)
    return _with_mentions(brief, Rendered(text, items, had, spans, cut=len(whole) < len(line)))


def _with_mentions(brief: Brief, reply: Rendered) -> Rendered:
    """Items of the brief that the model names in its own words, too, marked as the others are.

    It has just read these titles: only the smallest words are taken for words here.
    """
    own = Names((*brief.listed, *brief.history), common=SMALL)
    matches = outermost(own.named(reply.text, brief.language))
    mentions = (match for match in matches if not reply.in_title(*match[:2]))
    named = {item_id for mention in mentions for item_id in mention.items}
    listed = [item.item_id for item in brief.listed if item.item_id in named]
    had = [item.item_id for item in brief.history if item.item_id in named]
    items = tuple(dict.fromkeys((*reply.items, *listed)))
    from_history = dict.fromkeys((*reply.from_history, *had))
    return replace(reply, items=items, from_history=tuple(from_history))


def _finished(line: str, stop: str) -> str:
    """Up to the end of its last sentence. A title at the very end is one, given a full stop."""
    if line.endswith("]]"):
        return line + stop
    ends = [found.end() for found in _END.finditer(line)]
    return line[: ends[-1]] if ends else ""


def _filled(written: str, by_slot: Mapping[str, Item]) -> tuple[str, tuple[TitleSpan, ...]]:
    """Personal data between the titles is hidden; a title that ends a sentence itself needs no
    full stop."""
    text, spans = "", []
    between = _SLOT.split(written)  # words, a slot's name, words, …
    for at, part in enumerate(between):
        if at % 2:
            item = by_slot[part.upper()]
            start, text = len(text), text + title_of(item)
            spans.append(TitleSpan(start, len(text), item.item_id))
        else:
            ended = part.startswith(".") and at and _STOP.search(text)
            text += masked(part[1:] if ended else part)
    return text, tuple(spans)
