"""Foreign text (items, queries, what a model wrote) on its way into a prompt or a reply.

Whatever it says, it stays one piece of one line. Into a prompt nothing goes of which a mark could
be made that steers a model: no bracket of any kind, no bar, no line break. So no text can forge a
slot (``[[1]]``), a turn of a chat (``<|im_start|>``, ``[INST]``, ``<s>``) or a line of its own.
Personal data is hidden. What the words themselves ask for is not looked at: they are data.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from streamrec.core.replies.personal import masked

LINK = "(link)"
_MARKS = 2
"""Of a letter, at most that many are kept."""

_READ = 10
"""So many times the characters that are kept are looked at; what comes behind is cut unread."""

_DOMAINS = (
    "com|org|net|edu|gov|io|ai|app|dev|info|biz|me|tv|co|uk|de|fr|es|it|nl|pl|ru|cn|jp|br|in|eu|us"
    "|ch|at|xyz|shop|online|site|link|ly"
)
_LINK = re.compile(
    r"\b(?:[a-z][a-z0-9+.-]{1,15}:/+|www\d?\.|javascript:|data:\w|mailto:)\S*"
    rf"|(?<![\w@])(?:[a-z0-9-]{{1,63}}\.){{1,4}}(?:{_DOMAINS})(?![\w.-]\w|\w)(?:[/?:#]\S*)?",
    re.I,
)
_BLANK = re.compile(r"[\s\u2581\u2800\u3164\u115f\u1160]+")  # and letters that look like one
_CHAT = re.compile(r"<[^<>]{0,40}\|[^<>]{0,40}>|<[|\uff5c][^<>]{0,60}[|\uff5c]>")
_JOINERS = "\u200c\u200d"
"""Part of the spelling of words and of emoji; between letters of English they are nothing."""

_SHOWN = str.maketrans({"<": "‹", ">": "›"})
_DATA = str.maketrans(
    {"‹": "(", "›": ")", "[": "(", "]": ")", "{": "(", "}": ")", "|": "/", "`": "'", '"': "'"}
    | dict.fromkeys("«»„“”「」『』【】〔〕〚〛⟦⟧⟨⟩〈〉《》｟｠❬❭❮❯❰❱", "'")
    | {"#": "", "=": "", "~": "", "*": "", "_": " ", "\\": "/"}
)


def has_link(text: str) -> bool:
    return _LINK.search(text) is not None


def plain(text: str) -> str:
    """One line without controls, marks of direction, characters of no width, half pairs and what
    is private or unassigned; letters in composed form (NFC) with no more marks than languages
    write."""
    composed = unicodedata.normalize("NFC", "".join(_visible(text)))
    return _BLANK.sub(" ", composed).strip()


def _visible(text: str) -> Iterator[str]:
    before, marks = " ", 0
    for letter in text:
        category = unicodedata.category(letter)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if category == "Cc":
            yield " "
        elif marks <= _MARKS and (category[0] != "C" or (letter in _JOINERS and before > "\xff")):
            yield letter
        before = letter


def shown(text: str, limit: int = 120) -> str:
    """A title as a reply says it: itself, for nearly every title. Links are taken out, personal
    data is hidden, marks of a chat are gone, and ``[[`` can be no slot. At most ``limit``
    characters."""
    line = _LINK.sub(LINK, _CHAT.sub(" ", plain(text[: _READ * limit])))
    line = masked(line).translate(_SHOWN)
    while "[[" in line or "]]" in line:
        line = line.replace("[[", "[").replace("]]", "]")
    return _cut(_BLANK.sub(" ", line).strip(), limit)


def as_data(text: str, limit: int) -> str:
    """As a line of a prompt holds it: at most ``limit`` characters (NFKC), and none of
    ``<>[]{}|#"``` nor one that looks like it."""
    wide = unicodedata.normalize("NFKC", plain(text[: _READ * limit]))
    line = shown(wide, _READ * limit).translate(_DATA)
    return _cut(_BLANK.sub(" ", line).strip(), limit)


def _cut(line: str, limit: int) -> str:
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
