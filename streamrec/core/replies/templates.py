"""Replies and reasons in plain words that no model writes: always there, always true.

A template has slots as what a model writes has, and goes the same way (``rendering``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from streamrec.core.events import Item
from streamrec.core.replies.brief import LISTED, Brief
from streamrec.core.replies.foreign import as_data
from streamrec.core.replies.language import ENGLISH
from streamrec.core.replies.phrases import Phrases, joined, phrases
from streamrec.core.replies.plan import Length
from streamrec.core.replies.rendering import Rendered, rendered, title_of

MOST_KINDS = 2
_KIND = re.compile(r"[^\W_](?:[^\W_]|[ '&/-]){0,29}")
_TITLE = "{had}"


def template(brief: Brief) -> Rendered:
    """As the plan has it: its tone, its number of items, the history where there is one, what the
    first item is listed under where the plan is long, and a question at the end."""
    said, plan = phrases(brief.language), brief.plan
    if not brief.listed:
        return Rendered(said.nothing, (), ())
    named = [f"[[{slot}]]" for slot in LISTED[: min(plan.named, len(brief.listed))]]
    had = "[[A]]" if "A" in brief.by_slot else ""
    sentence = (said.because if had else said.suggest)[plan.tone]
    sentences = [sentence.format(items=joined(named, said), had=had)]
    kinds = kinds_of(brief.listed[0])
    if plan.length is Length.LONG and kinds:
        sentences.append(said.about.format(items="[[1]]", kinds=joined(kinds, said)))
    if plan.question:
        sentences.append(said.question[plan.tone])
    return rendered(brief, said.gap.join(sentences))


def kinds_of(item: Item) -> list[str]:
    """The first categories that are words: letters, digits, at most three words."""
    kinds = (as_data(category, 30) for category in item.categories)
    words = (kind for kind in kinds if _KIND.fullmatch(kind) and len(kind.split()) <= 3)
    return list(dict.fromkeys(words))[:MOST_KINDS]


def reason_in_words(
    reason: str, item: Item, history: Sequence[Item], language: str = ENGLISH
) -> str:
    """One sentence on why an item is on a list; empty where nothing is known to be true.

    ``reason``: as the list has it. A title in it must be one of the ``history``, and categories are
    said where the user has chosen some of the item's.
    """
    said = phrases(language)
    if reason.startswith("of a kind"):
        return _kinds(item, history, said) or said.reasons.get(reason, "")
    if reason in said.reasons:
        return said.reasons[reason]
    for words, sentence in said.reasons.items():
        start, _, end = words.partition(_TITLE)
        if start != words and reason.startswith(start) and reason.endswith(end):
            had = _had(reason[len(start) : len(reason) - len(end)], history)
            return sentence.format(had=title_of(had)) if had else ""
    return ""


def _kinds(item: Item, history: Sequence[Item], said: Phrases) -> str:
    chosen = {kind for had in history for kind in kinds_of(had)}
    shared = [kind for kind in kinds_of(item) if kind in chosen]
    return said.kinds.format(kinds=joined(shared, said)) if shared else ""


def _had(title: str, history: Sequence[Item]) -> Item | None:
    """Of this title, which may have been cut (``…``)."""
    start = title.removesuffix("…")
    same = (item for item in history if item.title == title or (start != title and start))
    return next((item for item in same if item.title.startswith(start)), None)
