"""A grammar as the regular expression that servers constrain replies by.

Knows the form of a reply. Does not know tokens: that a slot is opened in time is only told by
characters here, and that each label comes once is not told at all, nor is ``most`` to the last slot
where some are not of the list; whoever renders a reply looks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from streamrec.ports import Grammar

CHARS_A_TOKEN = 3
"""Of plain text, cautiously: before the first slot there may be so many characters for a token."""


def reply_pattern(grammar: Grammar) -> str:
    """In the dialect that Rust's and Python's engines share: classes, groups, bounded repeats."""
    letters = "".join(re.escape(letter) for letter in grammar.forbidden)
    plain = rf"[^{letters}\x00-\x1f\x7f]"
    if not grammar.slots:
        return f"{plain}+"
    least = grammar.owed
    spare = min(grammar.most, len(grammar.slots)) - least
    before = max(1, CHARS_A_TOKEN * grammar.max_tokens // (2 * max(1, least)))
    first = _slot(grammar.listed)
    if grammar.beside and spare:
        first = rf"({_slot(grammar.beside)}{plain}{{0,{before}}}){{0,{spare}}}{first}"
    owed = rf"({plain}{{0,{before}}}{first}){{{least}}}" if least else ""
    return rf"{owed}({plain}*{_slot(grammar.slots)}){{0,{spare}}}{plain}*"


def _slot(labels: Sequence[str]) -> str:
    return rf"\[\[({'|'.join(map(re.escape, labels))})\]\]"
