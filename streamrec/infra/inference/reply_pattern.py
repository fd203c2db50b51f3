"""A grammar as the regular expression that servers constrain replies by.

Knows the form of a reply. Does not know tokens: that a slot is opened in time is only told by
characters here, and that each label comes once is not told at all; whoever renders a reply looks.
"""

from __future__ import annotations

import re

from streamrec.ports import Grammar

CHARS_A_TOKEN = 3
"""Of plain text, cautiously: before the first slot there may be so many characters for a token."""


def reply_pattern(grammar: Grammar) -> str:
    """In the dialect that Rust's and Python's engines share: classes, groups, bounded repeats."""
    letters = "".join(re.escape(letter) for letter in grammar.forbidden)
    plain = rf"[^{letters}\x00-\x1f\x7f]"
    least = min(grammar.least, len(grammar.slots))
    if not grammar.slots:
        return f"{plain}+"
    slot = rf"\[\[({'|'.join(re.escape(label) for label in grammar.slots)})\]\]"
    before = max(1, CHARS_A_TOKEN * grammar.max_tokens // (2 * max(1, least)))
    owed = rf"({plain}{{0,{before}}}{slot}){{{least}}}"
    more = rf"({plain}*{slot}){{0,{min(grammar.most, len(grammar.slots)) - least}}}"
    return f"{owed}{more}{plain}*"
