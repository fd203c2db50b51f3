"""How much one item or request may ask of everybody else.

A message may have a million bytes; some of its fields cost far more than their bytes, in every
worker that handles it. What is above a limit is refused by name, whole, and can be sent again
smaller; nothing is cut silently. Knows sizes, not forms (``infra.wire.checks``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sized

from streamrec.core.events import Item, Request
from streamrec.errors import InvalidField

MAX_TITLE_CHARS = 2_000
"""Every start and every new item reads all titles for their words."""

MAX_TEXT_CHARS = 100_000
"""It stands in Redis and in the memory of every serving worker; a model reads its beginning."""

MAX_LABELS, MAX_LABEL_CHARS = 1_000, 2_000
"""Categories, or attributes, of one item or one filter: a filter compares them item by item."""

MAX_VARIANTS = 16
"""Wordings of one item: each waits for views of its own, and so many are counted."""

MAX_QUERY_CHARS = 2_000
"""Of an event: it stays in its user's state."""

MAX_REPLY_LOG_CHARS = 100_000
"""It stays in its user's state until the reply's outcome is known."""

MAX_TURNS, MAX_TURN_CHARS = 20, 2_000
"""What was said before, in a request: a model reads all of it."""

MAX_IDS = 10_000
"""Candidates, or excluded items, of one request: each is looked up while others wait."""


def item_within(item: Item) -> Item:
    """The item. Raises InvalidField."""
    _chars("title", item.title, MAX_TITLE_CHARS)
    _chars("text", item.text, MAX_TEXT_CHARS)
    _labels("categories", item.categories)
    _labels("attributes", item.attributes, item.attributes.values())
    _count("variants", item.variants, MAX_VARIANTS)
    for variant in item.variants:
        _chars(f"the title of variant {variant.variant_id}", variant.title, MAX_TITLE_CHARS)
        _chars(f"the text of variant {variant.variant_id}", variant.text, MAX_TEXT_CHARS)
    return item


def event_words_within(found: Mapping[str, str]) -> None:
    """``found``: an event's texts by field. Raises InvalidField."""
    _chars("query", found.get("query", ""), MAX_QUERY_CHARS)
    _chars("reply_log", found.get("reply_log", ""), MAX_REPLY_LOG_CHARS)


def request_within(request: Request) -> Request:
    """The request; its query may be of any length, as only its beginning is read. Raises
    InvalidField."""
    filters = request.filters
    _count("context", request.context, MAX_TURNS)
    for turn in request.context:
        _chars("an entry of context", turn, MAX_TURN_CHARS)
    _count("candidates", request.candidates, MAX_IDS)
    _count("filters.exclude_items", filters.exclude_items, MAX_IDS)
    _labels("filters.categories", filters.categories)
    _labels("filters.attributes", filters.attributes, filters.attributes.values())
    return request


def _labels(name: str, found: Collection[str], more: Iterable[str] = ()) -> None:
    _count(name, found, MAX_LABELS)
    for label in (*found, *more):
        _chars(f"an entry of {name}", label, MAX_LABEL_CHARS)


def _count(name: str, found: Sized, most: int) -> None:
    if len(found) > most:
        raise InvalidField(
            f"{name} has {len(found):,} entries; at most {most:,} are accepted", name
        )


def _chars(name: str, found: str, most: int) -> None:
    if len(found) > most:
        raise InvalidField(
            f"{name} has {len(found):,} characters; at most {most:,} are accepted", name
        )
