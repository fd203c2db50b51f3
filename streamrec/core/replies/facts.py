"""What a text claims that can be looked up: numbers, categories, values of attributes.

Numbers count as digits in every language and as words in English and German, from two to twelve.
Categories and values count as the catalogue spells them, in the plural, too. A category or a value
of small words, or of words that a prompt itself has ("short", "history"), claims nothing, nor does
a value of a single common word or number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from streamrec.core.events import Item
from streamrec.core.replies.brief import FIXED
from streamrec.core.replies.common_words import COMMON
from streamrec.core.replies.language import small_words
from streamrec.core.replies.names import Names, tokens
from streamrec.core.replies.plan import PLANS

Words = tuple[str, ...]

LONGEST_FACT = 4
"""Words of a category or a value that are looked for; longer ones are not checked."""

_READ = 4_000
"""Characters of a text that count."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_COUNTED = {
    "en": "two three four five six seven eight nine ten eleven twelve",
    "de": "zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
}
_VALUE_OF = {
    language: {word: str(value) for value, word in enumerate(line.split(), 2)}
    for language, line in _COUNTED.items()
}
_PROMPT = " ".join([FIXED, *(plan.phrase for plan in PLANS)])
_SAYS_NOTHING = small_words() | {token.word for token in tokens(_PROMPT)}


def numbers_in(text: str, language: str) -> set[str]:
    """As digits, without leading zeros and with a point where there is a fraction."""
    found = {_number(digits) for digits in _NUMBER.findall(text)}
    values: Mapping[str, str] = _VALUE_OF.get(language, {})
    words = re.findall(r"[^\W\d_]+", text.casefold())
    return found | {values[word] for word in words if word in values}


def _number(digits: str) -> str:
    plain = "".join(c if c in ".," else str(int(c)) for c in digits).replace(",", ".")
    return plain.lstrip("0") or "0"


def told_of(item: Item) -> str:
    """All that an item says of itself, of a very long text the start."""
    pairs = (f"{name} {value}" for name, value in item.attributes.items())
    said = [item.title, item.text, *item.categories, *pairs]
    return "\n".join(one[:_READ] for one in said)


def facts_in(text: str, catalogue: Names) -> set[Words]:
    """Categories and values of the catalogue that a text says."""
    said = [token.word for token in tokens(text)]
    runs = (
        tuple(said[first : first + length])
        for first in range(len(said))
        for length in range(1, min(LONGEST_FACT, len(said) - first) + 1)
    )
    return {fact for run in runs for fact in _singulars(run) if _claims(fact, catalogue)}


def _claims(fact: Words, catalogue: Names) -> bool:
    if _SAYS_NOTHING.issuperset(fact):
        return False
    if catalogue.kinds[fact] > 0:
        return True
    common = len(fact) == 1 and (fact[0] in COMMON or fact[0].isdecimal())
    return catalogue.values[fact] > 0 and not common


def _singulars(run: Words) -> Iterator[Words]:
    """A run of words, and what its last word may be the plural of."""
    yield run
    *before, last = run
    if last.endswith("ies"):
        yield (*before, last[:-3] + "y")
    if last.endswith("s"):
        yield (*before, last[:-1])


def facts_had(items: Iterable[Item]) -> set[Words]:
    """Every run of words that an item says of itself."""
    found: set[Words] = set()
    for item in items:
        for line in told_of(item).splitlines():
            words = [token.word for token in tokens(line)]
            for length in range(1, LONGEST_FACT + 1):
                runs = zip(*(words[start:] for start in range(length)), strict=False)
                found.update(one for run in runs for one in _singulars(run))
    return found
