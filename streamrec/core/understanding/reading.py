"""One query, from left to right: cues, names of the catalogue, amounts, and how far a no reaches.

A no reaches to the end of its clause: a full stop, a but, a verb of wanting, or a comma, unless a
list goes on behind it that ends in or. Knows the words of a query and a catalogue. Does not know
what was said before (``turns``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from streamrec.core.understanding.catalogue_words import CatalogueWords, Entry
from streamrec.core.understanding.lexicon import CUES, DIRECTIONS, FILLERS, Cue
from streamrec.core.understanding.quantities import LONGEST_PHRASE, Bound, Quantities
from streamrec.core.understanding.spoken import SpokenToken, tokens
from streamrec.core.understanding.understood import Range, Understood

MARKS = ".,;:!?"
LONGEST_TITLE = 12
FREE_TITLE = 3
"""So many words are a title wherever they stand, without a capital."""

STEERING = frozenset(
    {Cue.NOT, Cue.WANT, Cue.BUT, Cue.LIKE, Cue.HAD, Cue.SOFT_NOT, Cue.TOO, Cue.IGNORED, Cue.SHOWN,
     Cue.FRESH, Cue.END, Cue.OR, Cue.AND}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Read:
    """What one query says by itself. ``shown``: that it wants other than what was shown."""

    understood: Understood
    shown: bool = False
    fresh: bool = False


@dataclass(slots=True)
class _Found:
    """What has been read so far; keys are in order of appearance."""

    wanted: dict[str, tuple[int, int]] = field(default_factory=dict)  # where it stands
    unwanted: dict[str, None] = field(default_factory=dict)
    has: dict[tuple[str, str], None] = field(default_factory=dict)
    lacks: dict[tuple[str, str], None] = field(default_factory=dict)
    ranges: dict[str, Range] = field(default_factory=dict)
    more: dict[str, None] = field(default_factory=dict)
    less: dict[str, None] = field(default_factory=dict)
    like: dict[str, None] = field(default_factory=dict)
    unlike: dict[str, None] = field(default_factory=dict)
    left: dict[str, None] = field(default_factory=dict)


def read(query: str, known: CatalogueWords) -> Read:
    """What a query says by itself."""
    return _Reader(tokens(query), known).run()


class _Reader:
    def __init__(self, query: Sequence[SpokenToken], known: CatalogueWords) -> None:
        self._query, self._entries, self._roles = query, known.entries, known.roles
        self._titles = known.titles
        self._words = [token.word for token in query]
        self._quantities = Quantities(query, known)
        self._found = _Found()
        self._no = False  # whether what is read is not wanted
        self._soft = -1  # up to which token a direction is turned round
        self._cue_end = -1  # where the last no, like or had ended
        self._had = self._shown = self._fresh = self._ignored = False

    def run(self) -> Read:
        at = 0
        while at < len(self._words):
            at = self._step(at)
        return Read(self._understood(), self._shown, self._fresh)

    def _step(self, at: int) -> int:
        """Read what stands here; where it goes on."""
        if self._words[at] in MARKS:
            self._mark(at)
            return at + 1
        steering, cue_end = self._steering(at)
        title_end = self._title(at)
        if title_end > cue_end:
            return self._put_title(at, title_end)
        if (bound_end := self._bound(at, cue_end)) > cue_end:
            return bound_end
        if (entry_end := self._entry_end(at)) > cue_end:
            return self._put_entries(at, entry_end)
        return self._say_how(at, steering, cue_end)

    def _say_how(self, at: int, steering: set[Cue], cue_end: int) -> int:
        """A direction, a cue, or a word that says nothing here."""
        direction_end = self._direction_end(at)
        if direction_end > cue_end:
            return self._put_direction(at, direction_end)
        if steering:
            return self._steer(steering, cue_end)
        if self._words[at] not in FILLERS:
            self._had = False
        return at + 1

    def _mark(self, at: int) -> None:
        self._had = False
        if self._words[at] != "," or not (self._no and self._list_goes_on(at + 1)):
            self._no = self._ignored = False

    def _steering(self, at: int) -> tuple[set[Cue], int]:
        """The longest cue that steers reading, and where it ends (``at`` where there is none)."""
        for end in range(min(len(self._words), at + LONGEST_PHRASE), at, -1):
            cues = CUES.get(" ".join(self._words[at:end]), set()) & STEERING
            if cues:
                return cues, end
        return set(), at

    def _steer(self, cues: set[Cue], end: int) -> int:
        if Cue.SHOWN in cues and not (Cue.SOFT_NOT in cues and self._direction_end(end) > end):
            self._shown = True
        elif Cue.FRESH in cues:
            self._found, self._fresh, self._no = _Found(), True, False
        elif Cue.SOFT_NOT in cues:
            self._soft = end + 1
        elif Cue.TOO in cues:
            self._too(end)
        elif Cue.NOT in cues:
            self._no, self._cue_end = True, end
        elif Cue.HAD in cues:
            self._had, self._cue_end = True, end
        elif Cue.IGNORED in cues:
            self._ignored = True
        elif Cue.LIKE in cues:
            self._cue_end = end
            self._no = self._no and self._title(self._past_fillers(end)) > end
        elif cues & {Cue.WANT, Cue.BUT, Cue.END}:
            self._no = self._had = self._ignored = False
        return end

    def _too(self, end: int) -> None:
        """Too long: shorter; too scary: not that."""
        self._soft = end + 1
        if self._entry_end(end) > end:
            self._no = True

    def _list_goes_on(self, at: int) -> bool:
        """Whether names follow, by commas, with an or or and before the last."""
        while True:
            at = self._past_fillers(at)
            end = self._entry_end(at)
            if end <= at:
                return False
            if end < len(self._words) and self._words[end] == ",":
                end += 1
            link = self._quantities.cue(end, Cue.OR, Cue.AND)
            if link is not None:
                return self._entry_end(self._past_fillers(link[1])) > link[1]
            if self._words[end - 1] != ",":
                return False
            at = end

    def _past_fillers(self, at: int) -> int:
        while at < len(self._words) and self._words[at] in FILLERS:
            at += 1
        return at

    def _bound(self, at: int, beyond: int) -> int:
        """Take an amount that begins here and ends beyond; where (``at`` where there is none)."""
        bound = self._quantities.bound(at)
        if bound is None or bound.end <= beyond:
            return at
        end = bound.end
        taken: Bound | None = bound
        if self._no and self._past_fillers(self._cue_end) >= at:
            taken, self._no = bound.turned(), False
        made = self._quantities.range(taken) if taken else None
        if made is None:
            self._leave(at, end)
        else:
            ranges = self._found.ranges
            former = ranges.get(made.name) if self._after_or(at) else None
            ranges[made.name] = made.spanning(former) if former else made
        return end

    def _after_or(self, at: int) -> bool:
        return at > 0 and Cue.OR in CUES.get(self._words[at - 1], ())

    def _entry_end(self, at: int) -> int:
        for end in range(min(len(self._words), at + LONGEST_PHRASE), at, -1):
            if " ".join(self._words[at:end]) in self._entries:
                return end
        return at

    def _put_entries(self, at: int, end: int) -> int:
        entries = self._entries[" ".join(self._words[at:end])]
        if not self._ignored:
            for entry in entries:
                self._put(entry, at, end)
        return end

    def _put(self, entry: Entry, at: int, end: int) -> None:
        found, pair = self._found, (entry.name, entry.value)
        if entry.name and self._no:
            found.has.pop(pair, None)
            found.lacks[pair] = None
            self._no = not self._category_at(end)  # no red shoes: shoes, not red
        elif entry.name:
            found.lacks.pop(pair, None)
            found.has[pair] = None
        elif self._no:
            found.wanted.pop(entry.value, None)
            found.unwanted[entry.value] = None
        else:
            found.unwanted.pop(entry.value, None)
            found.wanted.setdefault(entry.value, (at, end))

    def _category_at(self, at: int) -> bool:
        at = self._past_fillers(at)
        entries = self._entries.get(" ".join(self._words[at : self._entry_end(at)]), ())
        return any(not entry.name for entry in entries)

    def _direction_end(self, at: int) -> int:
        for end in range(min(len(self._words), at + LONGEST_PHRASE), at, -1):
            if " ".join(self._words[at:end]) in DIRECTIONS:
                return end
        return at

    def _put_direction(self, at: int, end: int) -> int:
        role, way = DIRECTIONS[" ".join(self._words[at:end])]
        if self._soft > at or (self._no and self._past_fillers(self._cue_end) >= at):
            way, self._no = -way, False
        name = self._roles.get(role)
        if name is None:
            self._leave(at, end)
            return end
        both = (self._found.more, self._found.less)
        rather, other = both if way > 0 else both[::-1]
        other.pop(name, None)
        rather[name] = None
        return end

    def _title(self, at: int) -> int:
        """Where a title that begins here ends (``at`` where there is none that is meant)."""
        said = ""
        best = at
        for end in range(at + 1, min(len(self._words), at + LONGEST_TITLE) + 1):
            if self._words[end - 1] not in MARKS:
                said = f"{said} {self._words[end - 1]}".strip()
                if said in self._titles and self._meant(at, end, said):
                    best = end
        return best

    def _meant(self, at: int, end: int, said: str) -> bool:
        """A title and not just words: how it is written, and what stands before it."""
        led = self._cue_end >= 0 and self._past_fillers(self._cue_end) >= at
        whole = len([word for word in self._words if word not in MARKS]) == said.count(" ") + 1
        if said in self._entries or said in CUES or said in DIRECTIONS:
            return led and not self._no
        count = said.count(" ") + 1
        capitals = sum(token.capital for token in self._query[at:end])
        if count == 1:
            return led or whole or (at > 0 and capitals == 1)
        return led or whole or count >= FREE_TITLE or capitals > 0

    def _put_title(self, at: int, end: int) -> int:
        said = " ".join(word for word in self._words[at:end] if word not in MARKS)
        ids = dict.fromkeys(self._titles[said])
        if self._no or self._had:
            self._found.unlike |= ids
        else:
            self._found.like |= ids
        return end

    def _leave(self, at: int, end: int) -> None:
        self._found.left[" ".join(self._words[at:end])] = None

    def _understood(self) -> Understood:
        found = self._found
        places = list(found.wanted.values())
        together = len(places) > 1 and all(
            one == other or one[1] == other[0] for one, other in pairwise(places)
        )
        return Understood(
            tuple(found.wanted),
            tuple(found.unwanted),
            together,
            tuple(found.has),
            tuple(found.lacks),
            tuple(found.ranges.values()),
            tuple(found.more),
            tuple(found.less),
            tuple(found.like),
            tuple(found.unlike),
            tuple(found.left),
        )
