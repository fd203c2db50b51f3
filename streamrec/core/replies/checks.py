"""Whether a reply may be said: of its items nothing but what they have, and of others nothing.

Whoever wrote it, a model or a template. Each check raises ReplyRefused; the first that does gives
the reason. What is claimed in words that are no number, category or attribute ("a sad film")
nobody checks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from streamrec.core.events import Item
from streamrec.core.replies.brief import FIXED, Brief
from streamrec.core.replies.facts import facts_had, facts_in, numbers_in, told_of
from streamrec.core.replies.foreign import has_link
from streamrec.core.replies.having import said_to_be_had
from streamrec.core.replies.language import fits
from streamrec.core.replies.names import Match, Names, facts_of, tokens
from streamrec.core.replies.plan import Length
from streamrec.core.replies.refusals import Refusal
from streamrec.core.replies.rendering import Rendered
from streamrec.core.replies.rules import ReplyRules
from streamrec.errors import ReplyRefused

MOST_WORDS = {Length.SHORT: 45, Length.LONG: 80}
"""Of a reply, its titles not counted. A character of a script without blanks is a word."""

MOST_TIMES = 3
"""That a reply may name one item, or say four words in a row."""

_LEAK_WORDS = 6
_LEAK = re.compile(r"\b(?:tone|length|history|items|end|language|asked|slots?)\s*:", re.I)


def checked(brief: Brief, reply: Rendered, catalogue: Names, rules: ReplyRules) -> None:
    """Raises ReplyRefused, with the first reason that there is (``refusals``)."""
    prose = reply.prose
    named = _named(brief, reply)
    _length(prose, brief)
    _repetition(reply, prose)
    _language(prose, brief, named)
    if has_link(prose):
        raise ReplyRefused(Refusal.LINK, "there is a link in it")
    _leak(prose)
    matches = catalogue.named(reply.text, brief.language)
    _others(reply, matches)
    _not_had(reply, brief, matches)
    _numbers(prose, brief, named)
    _facts(prose, named, catalogue)
    _rules(reply.text, rules)


def _named(brief: Brief, reply: Rendered) -> list[Item]:
    ids = {*reply.items, *reply.from_history}
    return [item for item in (*brief.listed, *brief.history) if item.item_id in ids]


def _length(prose: str, brief: Brief) -> None:
    words, most = len(tokens(prose)), MOST_WORDS[brief.plan.length]
    if words > most:
        raise ReplyRefused(Refusal.TOO_LONG, f"it has {words} words beside titles, not {most}")
    if not words:
        raise ReplyRefused(Refusal.TOO_SHORT, "it has no word beside titles")


def _repetition(reply: Rendered, prose: str) -> None:
    often = Counter(span.item_id for span in reply.spans)
    words = [token.word for token in tokens(prose)]
    rows = Counter(zip(*(words[start:] for start in range(4)), strict=False))
    if max([*often.values(), *rows.values()], default=0) >= MOST_TIMES:
        raise ReplyRefused(Refusal.REPEATS, f"it says something {MOST_TIMES} times")


def _language(prose: str, brief: Brief, named: list[Item]) -> None:
    """Categories and values are the catalogue's, in whatever language it is."""
    facts = [fact for item in named for kind in facts_of(item) for fact in kind]
    foreign = {word for fact in facts for word in fact}
    words = [token for token in tokens(prose) if token.word not in foreign]
    if not fits(" ".join(prose[token.start : token.end] for token in words), brief.language):
        raise ReplyRefused(Refusal.LANGUAGE, f"it is not in {brief.language!r}")


def _leak(prose: str) -> None:
    words = " ".join(token.word for token in tokens(prose))
    fixed = [token.word for token in tokens(FIXED)]
    rows = (fixed[start : start + _LEAK_WORDS] for start in range(len(fixed) - _LEAK_WORDS + 1))
    if _LEAK.search(prose) or any(" ".join(row) in words for row in rows):
        raise ReplyRefused(Refusal.LEAK, "it says what its prompt says")


def _others(reply: Rendered, matches: Sequence[Match]) -> None:
    allowed = {*reply.items, *reply.from_history}
    own = [match for match in matches if match.items & allowed]
    for match in matches:
        if match.items & allowed or reply.in_title(match.start, match.end):
            continue
        if not any(_within(match, one) for one in own):
            title = reply.text[match.start : match.end]
            raise ReplyRefused(Refusal.NAMES_OTHER, f"it names {title!r}, which is not on its list")


def _not_had(reply: Rendered, brief: Brief, matches: Sequence[Match]) -> None:
    """What is new to somebody is not what they had."""
    had = {item.item_id for item in brief.history}
    new = {item.item_id for item in brief.listed} - had
    spans = [(span.start, span.end) for span in reply.spans]
    told = [span.start for span in reply.spans if span.item_id in new]
    told += [
        match.start
        for match in matches
        if match.items & new and not (match.items & had or reply.in_title(*match[:2]))
    ]
    for at in told:
        if said_to_be_had(reply.text, spans, at):
            raise ReplyRefused(Refusal.NOT_HAD, "it says that the user had an item of the list")


def _within(match: Match, other: Match) -> bool:
    return other.start <= match.start and match.end <= other.end


def _numbers(prose: str, brief: Brief, named: list[Item]) -> None:
    had = numbers_in("\n".join(map(told_of, named)), brief.language)
    count = len(named)
    for number in numbers_in(prose, brief.language) - had - {str(count)}:
        raise ReplyRefused(Refusal.NUMBER, f"no item that it names has the number {number}")


def _facts(prose: str, named: list[Item], catalogue: Names) -> None:
    for fact in facts_in(prose, catalogue) - facts_had(named):
        words = " ".join(fact)
        raise ReplyRefused(Refusal.FACT, f"no item that it names has {words!r}")


def _rules(text: str, rules: ReplyRules) -> None:
    blocked = rules.blocks(text)
    if blocked is not None:
        raise ReplyRefused(Refusal.BLOCKED, f"{blocked.line!r} is blocked")
    if rules.classifier is not None and rules.classifier(text) >= rules.classified_from:
        raise ReplyRefused(Refusal.CLASSIFIED, "the classifier refuses it")
