"""What nobody is to be told, by a file; and the file.

A line of it is a word, or several in a row, which no reply may have, in any case; or a pattern
between slashes (``/\\bcheap +pills\\b/``), one of Python's regular expressions, in any case, too.
After ``?`` a line only flags: such a reply waits where flagged replies are reviewed (``flags``).
Blank lines and those that begin with ``#`` say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from streamrec.core.events import Item
from streamrec.core.replies.brief import Brief
from streamrec.core.replies.rendering import title_of
from streamrec.core.variants.wording_rules import has_words
from streamrec.errors import BadFile

Classifier = Callable[[str], float]
"""How probably a text is one that nobody is to be told, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class BlockRule:
    """One line of the file. ``line``: as it stands there."""

    line: str
    words: str = ""
    pattern: re.Pattern[str] | None = None

    def found_in(self, text: str) -> bool:
        if self.pattern is not None:
            return self.pattern.search(text) is not None
        return has_words(text, self.words)


@dataclass(frozen=True, slots=True)
class ReplyRules:
    """``classifier`` refuses from ``classified_from`` on."""

    blocked: tuple[BlockRule, ...] = ()
    flagged: tuple[BlockRule, ...] = ()
    classifier: Classifier | None = None
    classified_from: float = 0.5

    def blocks(self, text: str) -> BlockRule | None:
        return next((rule for rule in self.blocked if rule.found_in(text)), None)


def read_rules(lines: Iterable[str], name: str) -> ReplyRules:
    """Of the lines of the file ``name``. Raises BadFile, naming the line."""
    blocked: list[BlockRule] = []
    flagged: list[BlockRule] = []
    for number, line in enumerate(lines, 1):
        said = line.strip()
        if said and not said.startswith("#"):
            flags = said.startswith("?")
            rule = _rule(said.removeprefix("?").strip(), f"{name}:{number}")
            (flagged if flags else blocked).append(rule)
    return ReplyRules(tuple(blocked), tuple(flagged))


def _rule(said: str, where: str) -> BlockRule:
    if not (said.startswith("/") and said.endswith("/") and len(said) > 1):
        if not has_words(said, said):
            raise BadFile(f"{where}: there is no word in {said!r}")
        return BlockRule(said, words=said)
    try:
        pattern = re.compile(said[1:-1], re.IGNORECASE)
    except re.error as error:
        raise BadFile(f"{where}: {said} is no regular expression: {error}") from error
    if pattern.search("") is not None:
        raise BadFile(f"{where}: {said} is found in every text")
    return BlockRule(said, pattern=pattern)


def admissible(brief: Brief, rules: ReplyRules) -> Brief:
    """The brief without the items whose title is blocked, and without blocked categories: they
    are on the list and in the catalogue, but no reply can say them. Before anything else."""
    listed, history = _sayable(brief.listed, rules), _sayable(brief.history, rules)
    return replace(brief, listed=listed, history=history)


def _sayable(items: Iterable[Item], rules: ReplyRules) -> tuple[Item, ...]:
    def may_be_said(text: str) -> bool:
        return rules.blocks(text) is None

    return tuple(
        replace(item, categories=tuple(filter(may_be_said, item.categories)))
        for item in items
        if may_be_said(title_of(item))
    )
