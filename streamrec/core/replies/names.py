"""Where a text names items of a catalogue, whoever wrote it and in whatever case.

A title is looked for with and without its year, its article, what is added in brackets, and as the
part before its colon where that part is two words or more; accents, case and punctuation do not
count. Where a script puts no blanks between words, its characters count as words. One look-up for
each word of a text and each length of a title that begins with it: the number of titles matters
little.

Many titles are words that everybody says: "It", "Her", "The Game". The rule, by what a title says:

- one word or more that is not common (``common_words``): it is a name wherever it stands;
- common words alone: a name where it is written as one, that is in quotation marks, before its
  year, or with a capital at each word that is not small, one of them not at the start of a
  sentence (of a single word, German capitals say nothing);
- "I", a single number or character of a script without blanks, or a category of the catalogue
  ("Drama"): a name in quotation marks or before its year alone.

Does not know misspelled titles, nor those that a catalogue does not have.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from streamrec.core.events import Item
from streamrec.core.replies.common_words import COMMON
from streamrec.core.replies.language import small_words, unaccented
from streamrec.core.state.words import blankless

LONGEST = 16
"""Words of a title that are looked for: its first ones."""

LONGEST_TITLE = 400
"""Characters of it that are read."""

_TOKEN = re.compile(r"&|[^\W_]+")
_YEAR = re.compile(r"\s*[(\[]((?:18|19|20)\d\d)[)\]]\s*$")
_ADDED = re.compile(r"\s*[(\[（][^()\[\]（）]*[)\]）]\s*$")
_INVERTED = re.compile(r"^(.*), (the|a|an|der|die|das|le|la|les|el|los|las|il)$", re.I)
_HEAD = re.compile(r"\s*(?::|：| [-–—] ).*$")
_ARTICLE_WORDS = "the a an der die das le la les el los las il lo ein eine un une una"
_ARTICLES = frozenset(_ARTICLE_WORDS.split())
_OPENING, _CLOSING = "\"'“‘«‹„「『《〈", "\"'”’“‘»›」』》〉"
_ENDS = ".!?…。！？:\n"
SMALL = small_words()


class TextWord(NamedTuple):
    """A word of a text, folded. ``capital``: its first letter is one."""

    word: str
    start: int
    end: int
    capital: bool


class Match(NamedTuple):
    """A title in a text, from ``start`` to ``end`` (exclusive), and whose it is."""

    start: int
    end: int
    items: frozenset[str]


class Facts(NamedTuple):
    """An item's categories, and the values of its attributes, each as its words."""

    kinds: tuple[tuple[str, ...], ...]
    values: tuple[tuple[str, ...], ...]


def tokens(text: str) -> list[TextWord]:
    return [
        TextWord(folded(text[start:end]), start, end, text[start].isupper())
        for found in _TOKEN.finditer(text)
        for start, end in _pieces(text, found.start(), found.end())
    ]


def folded(word: str) -> str:
    return "and" if word == "&" else unaccented(word).casefold()


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A word, or each of its characters that its script does not put blanks between."""
    if text[start:end].isascii():
        yield start, end
        return
    for alone, group in groupby(range(start, end), lambda at: blankless(text[at])):
        places = list(group)
        if alone:
            yield from ((at, at + 1) for at in places)
        else:
            yield places[0], places[-1] + 1


def forms(title: str) -> set[tuple[str, ...]]:
    """The ways in which a title may be said, each as its words."""
    title = unicodedata.normalize("NFC", title[:LONGEST_TITLE]).strip()
    bare = _stripped(title)
    inverted = _INVERTED.sub(r"\2 \1", bare)
    said = {title, bare, inverted, _YEAR.sub("", title)}
    year = _YEAR.search(title)
    if year:
        said.add(f"{inverted} {year[1]}")
    found = {words for one in said for words in _with_and_without_article(one)}
    heads = _with_and_without_article(_HEAD.sub("", inverted))
    return {words for words in found | {head for head in heads if len(head) > 1} if words}


def _stripped(title: str) -> str:
    """Without what is added in brackets, unless nothing else is there."""
    while (shorter := _ADDED.sub("", title)) != title and shorter:
        title = shorter
    return title


def _with_and_without_article(title: str) -> set[tuple[str, ...]]:
    words = tuple(token.word for token in tokens(title))[:LONGEST]
    return {words, words[1:]} if words[:1] and words[0] in _ARTICLES else {words}


class Names:
    """Of the items of a catalogue: their titles, and the titles they are tried with."""

    def __init__(self, items: Iterable[Item] = (), common: frozenset[str] = COMMON) -> None:
        self._common = common
        self._items_of: dict[tuple[str, ...], frozenset[str]] = {}
        self._forms_of: dict[str, frozenset[tuple[str, ...]]] = {}
        self._lengths_from: dict[str, Counter[int]] = {}  # by a title's first word
        self._facts_of: dict[str, Facts] = {}
        self.kinds: Counter[tuple[str, ...]] = Counter()
        """Categories as words, and how many items have them."""
        self.values: Counter[tuple[str, ...]] = Counter()
        """The same of the values of attributes."""
        for item in items:
            self.put(item)

    def __len__(self) -> int:
        return len(self._forms_of)

    def put(self, item: Item) -> None:
        """A new item, or what an item is from now on."""
        self.remove(item.item_id)
        titles = [item.title, *(variant.title for variant in item.variants)]
        own = frozenset(form for title in titles for form in forms(title))
        for form in own:
            self._items_of[form] = self._items_of.get(form, frozenset()) | {item.item_id}
            self._lengths_from.setdefault(form[0], Counter())[len(form)] += 1
        self._forms_of[item.item_id] = own
        facts = self._facts_of[item.item_id] = facts_of(item)
        self.kinds.update(facts.kinds)
        self.values.update(facts.values)

    def remove(self, item_id: str) -> None:
        for form in self._forms_of.pop(item_id, ()):
            left = self._items_of.pop(form) - {item_id}
            if left:
                self._items_of[form] = left
            lengths = self._lengths_from[form[0]]
            lengths[len(form)] -= 1
            if not +lengths:
                del self._lengths_from[form[0]]
        facts = self._facts_of.pop(item_id, Facts((), ()))
        self.kinds.subtract(facts.kinds)
        self.values.subtract(facts.values)

    def named(self, text: str, language: str = "") -> list[Match]:
        """Every title that a text says, also those within a longer one."""
        said = tokens(text)
        return [
            Match(said[first].start, said[end - 1].end, self._items_of[form])
            for first, end, form in self._found(said)
            if self._is_name(form, said[first:end], text, language)
        ]

    def _found(self, said: list[TextWord]) -> Iterator[tuple[int, int, tuple[str, ...]]]:
        words = tuple(token.word for token in said)
        for first, word in enumerate(words):
            for length, count in self._lengths_from.get(word, {}).items():
                form = words[first : first + length]
                if count > 0 and len(form) == length and form in self._items_of:
                    yield first, first + length, form

    def _is_name(
        self, form: tuple[str, ...], said: list[TextWord], text: str, language: str
    ) -> bool:
        ordinary = len(form) == 1 and (form[0].isdecimal() or form[0] == "i" or blankless(form[0]))
        if not ordinary and not self._common.issuperset(form) and not self.kinds[form]:
            return True
        if _quoted(text, said[0].start, said[-1].end):
            return True
        if ordinary or self.kinds[form] or (language == "de" and len(form) == 1):
            return False
        return _capital(said, text)


def facts_of(item: Item) -> Facts:
    return Facts(_in_words(item.categories), _in_words(item.attributes.values()))


def _in_words(texts: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    read = (text[:LONGEST_TITLE] for text in texts)
    found = (tuple(token.word for token in tokens(text)) for text in read)
    return tuple(dict.fromkeys(filter(None, found)))


def outermost(matches: Iterable[Match]) -> list[Match]:
    """Those that lie in no longer one."""
    matches = list(matches)
    return [
        one
        for one in matches
        if not any(
            other.start <= one.start and one.end <= other.end and other[:2] != one[:2]
            for other in matches
        )
    ]


def _quoted(text: str, start: int, end: int) -> bool:
    before, after = text[:start].rstrip()[-1:], text[end:].lstrip(" .,!?…。，！？")[:1]
    return bool(before) and before in _OPENING and bool(after) and after in _CLOSING


def _capital(said: list[TextWord], text: str) -> bool:
    weighty = [token for token in said if token.word not in SMALL] or said
    if not all(token.capital for token in weighty):
        return False
    return any(not _starts_sentence(text, token.start) for token in weighty)


def _starts_sentence(text: str, at: int) -> bool:
    before = text[:at].rstrip(" " + _OPENING)
    return not before or before[-1] in _ENDS
