"""Whether a question says again what was asked before it: then the answer between was none.

Knows the words of two questions. Does not know when they were asked, or what followed: who asks
this says which two questions follow each other.

The rule, by the words of both that are not small (of languages without blanks, each two
neighbouring characters): they share half or more of all that the two have together, or the one has
all words of the other, or the second begins with a word that takes the first back ("no", "I meant",
"nein", "不是") and shares one word at least. The same question again says the same. A question of
small words alone ("something else?", "another one") says nothing new, and takes back what was
shown. A word counts as another of the same first five letters
("comedy", "comedies"), an s at their end aside ("film", "films").
"""

from __future__ import annotations

from streamrec.core.replies.language import small_words, unaccented
from streamrec.core.state.words import words_of

SHARED = 0.5
STEM = 5
"""Letters of a word that count, in scripts with blanks."""

_AGAIN = "else one ones another other again different next andere anderes anderen noch"
_BACK = (
    "no",
    "nope",
    "not",
    "i meant",
    "i mean",
    "rather",
    "instead",
    "nein",
    "nicht",
    "ich meinte",
)
_BACK_WIDE = ("不", "别", "我是说", "没有")


def rephrases(query: str, before: str) -> bool:
    """Whether ``query`` says again what ``before`` asked, which came right before it."""
    now, then = _weighty(query), _weighty(before)
    if not then:
        return bool(query.strip()) and not now
    if not now:
        return bool(query.strip())
    shared = len(now & then)
    if now <= then or then <= now or shared >= SHARED * len(now | then):
        return True
    return shared > 0 and _takes_back(query)


def _weighty(query: str) -> set[str]:
    words = (unaccented(word).casefold() for word in words_of(query))
    return {word[:STEM].rstrip("s") or word for word in words if word not in _LIGHT}


def _takes_back(query: str) -> bool:
    said = query.casefold().lstrip()
    plain = " ".join("".join(c if c.isalnum() else " " for c in said).split())
    return said.startswith(_BACK_WIDE) or any(f"{plain} ".startswith(f"{one} ") for one in _BACK)


_LIGHT = small_words() | set(_AGAIN.split())
