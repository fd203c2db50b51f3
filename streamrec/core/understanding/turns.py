"""A query after another one: does it correct, or begin anew?

It goes on from what was said before where it begins with a word that does (no, but, also), or says
nothing by itself that could stand alone: a bound, a preference, something that is not wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from streamrec.core.understanding.catalogue_words import CatalogueWords
from streamrec.core.understanding.lexicon import CUES, Cue, NumberRole
from streamrec.core.understanding.reading import Read, read
from streamrec.core.understanding.spoken import tokens
from streamrec.core.understanding.understood import Pair, Range, Understood

T = TypeVar("T")
ADDING = frozenset({"and", "also", "or", "plus", "und", "auch", "oder", "et", "aussi", "ou", "y"})


def understand(
    query: str,
    vocabulary: CatalogueWords,
    former: Understood | None = None,
    shown: Sequence[str] = (),
) -> Understood:
    """What is wanted now.

    ``former``: what was understood before this turn. ``shown``: item ids of the list since then;
    "not that" wants none of them again.
    """
    found = read(query, vocabulary)
    now = found.understood
    words = [token.word for token in tokens(query)]
    if found.shown:
        now = replace(now, unlike=_joined(now.unlike, shown))
    if former is None or found.fresh or not _goes_on(words, found):
        return now
    return _merged(former, now, words, vocabulary)


def _goes_on(words: Sequence[str], found: Read) -> bool:
    if found.shown or Cue.TURN in CUES.get(words[0] if words else "", ()):
        return True
    if any(Cue.TURN in CUES.get(" ".join(words[:count]), ()) for count in (2, 3)):
        return True
    now = found.understood
    return not (now.wanted or now.has or now.like)


def _merged(
    former: Understood, now: Understood, words: Sequence[str], vocabulary: CatalogueWords
) -> Understood:
    adding = bool(words) and words[0] in ADDING
    wanted, together = former.wanted, former.together
    unwanted = former.unwanted
    if now.wanted and adding:
        wanted, together = _joined(wanted, now.wanted), False
    elif now.wanted:
        if _refused(words):
            unwanted = _joined(unwanted, [one for one in wanted if one not in now.wanted])
        wanted, together = now.wanted, now.together
    wanted = _without(wanted, now.unwanted)
    return Understood(
        wanted,
        _joined(_without(unwanted, now.wanted), now.unwanted),
        together and len(wanted) > 1,
        _values(former.has, now.has, now.lacks, adding=adding),
        _joined(_without(former.lacks, now.has), now.lacks),
        _ranges(former, now, vocabulary),
        _joined(_without(former.more, now.less), now.more),
        _joined(_without(former.less, now.more), now.less),
        _joined(_without(former.like, now.unlike), now.like),
        _joined(_without(former.unlike, now.like), now.unlike),
        now.left,
    )


def _refused(words: Sequence[str]) -> bool:
    """No, a drama: what was wanted before is not."""
    return len(words) > 1 and Cue.NO in CUES.get(words[0], ()) and words[1] in (",", ".", "!")


def _values(
    former: tuple[Pair, ...], has: tuple[Pair, ...], lacks: tuple[Pair, ...], *, adding: bool
) -> tuple[Pair, ...]:
    """A new value takes the place of the old ones of its attribute."""
    named = set() if adding else {name for name, _ in has}
    kept = [pair for pair in former if pair[0] not in named]
    return _joined(_without(kept, lacks), has)


def _ranges(former: Understood, now: Understood, vocabulary: CatalogueWords) -> tuple[Range, ...]:
    """New bounds take the place of old ones; newer than the 90s begins where they end."""
    ranges = {one.name: one for one in former.ranges}
    for name in [*now.more, *now.less]:
        if name in ranges:
            step = 1.0 if vocabulary.roles.get(NumberRole.YEAR) == name else 0.0
            ranges[name] = _moved(ranges[name], name in now.more, step)
    return tuple((ranges | {one.name: one for one in now.ranges}).values())


def _moved(old: Range, more: bool, step: float) -> Range:
    """Where the old bound is in the way."""
    if more and old.high is not None:
        return Range(old.name, old.high + step, None)
    if not more and old.low is not None:
        return Range(old.name, None, old.low - step)
    return old


def _joined(one: Iterable[T], other: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys([*one, *other]))


def _without(one: Iterable[T], other: Iterable[T]) -> tuple[T, ...]:
    gone = set(other)
    return tuple(value for value in one if value not in gone)
