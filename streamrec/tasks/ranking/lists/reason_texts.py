"""A list's reasons in words, for who asks for them: one sentence beside each item.

Knows whose history a reason may speak of, and in which language. Does not know how a reason was
found (``reasons``) or what sentences there are (``core.replies.templates``): where none is true,
an item has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from streamrec.core.events import Item, RecommendedItem
from streamrec.core.replies.language import ENGLISH, language_of
from streamrec.core.replies.templates import reason_in_words
from streamrec.core.state.catalogue import Catalogue
from streamrec.tasks.ranking.lists.list_requests import ListRequest


def with_reason_texts(
    items: tuple[RecommendedItem, ...],
    request: ListRequest,
    history: Sequence[str],
    catalogue: Catalogue,
) -> tuple[RecommendedItem, ...]:
    """``history``: ids of the user's items; those that the catalogue lacks have no words."""
    if not request.wants_reasons:
        return items
    language = language_of(request.query or "") or ENGLISH
    had = _known(history, catalogue)
    about = {item.item_id: item for item in _known([one.item_id for one in items], catalogue)}
    return tuple(
        replace(one, reason_text=_text(one.reason, about.get(one.item_id), had, language))
        for one in items
    )


def _text(reason: str, item: Item | None, had: Sequence[Item], language: str) -> str | None:
    return (item and reason_in_words(reason, item, had, language)) or None


def _known(ids: Sequence[str], catalogue: Catalogue) -> list[Item]:
    rows = (catalogue.row(item_id) for item_id in ids)
    return [catalogue.item(row) for row in rows if row is not None]
