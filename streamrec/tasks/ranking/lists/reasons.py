"""From the parts of an item's score to a short reason that is true of the numbers.

Knows which inputs of the head belong together, and what may be said when a part is the
largest. Does not know how a score is taken apart (``tasks.ranking.model.parts``).

A reason is given only when its part is the largest, raises the score, and the inputs bear
the words out: "popular now" is never said of an item that is chosen less than usual, even
if the model likes that. Otherwise there is no reason; none is better than a wrong one.

Legend: D inputs of the head, G groups of inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamrec.core.examples import FloatArray

TEXT = "text"
COMPANIONS = "companions"
TASTE = "taste"
POPULARITY = "popularity"
AGE = "age"
USER = "user"

GROUPS: Mapping[str, str] = {
    TEXT: "its text is like what the user chose",
    COMPANIONS: "what others chose after, and together with, the user's last items",
    TASTE: "how its categories do, and how much the user chooses them",
    POPULARITY: "how often it was chosen and seen of late",
    AGE: "how new it is, and how long ago it was last chosen",
    USER: "how active the user is: the same for every item",
}
"""Groups of inputs, in the order of every (…, G) array, in words."""

_PREFIXES = (
    ("sim_", TEXT),
    ("shared_word", TEXT),
    ("after_", COMPANIONS),
    ("with_", COMPANIONS),
    ("affinity", TASTE),
    ("category_", TASTE),
    ("accepts_", POPULARITY),
    ("views_", POPULARITY),
    ("rate_", POPULARITY),
    ("popularity_", POPULARITY),
    ("age", AGE),
    ("unseen", AGE),
    ("since_accept", AGE),
    ("user_", USER),
)
LONGEST_TITLE = 60
RECENT = 16
"""Of so many last items, the closest is named (``tasks.ranking.model.similarity`` compares as
many)."""


def group_of(name: str) -> str:
    """The group of an input. Raises KeyError for a name of no group."""
    for prefix, group in _PREFIXES:
        if name.startswith(prefix):
            return group
    raise KeyError(name)


@dataclass(frozen=True, slots=True, eq=False)
class ReasonInputs:
    """What is known of one item of one list. ``nearest``, ``last``: titles, if any."""

    parts_G: FloatArray
    raw_D: FloatArray  # inputs as they were computed
    standard_D: FloatArray  # as the head sees them: 0 is usual
    at: Mapping[str, int]  # position of an input by name
    nearest: str | None  # of the user's items, the one whose text is closest
    last: str | None  # the user's last item

    def raw(self, name: str) -> float:
        """An input as it was computed; 0 when the head has no such input."""
        at = self.at.get(name)
        return 0.0 if at is None else float(self.raw_D[at])


def reason(seen: ReasonInputs) -> str:
    """Why this item, in a few words; empty when nothing short is true."""
    largest = int(np.argmax(seen.parts_G))
    if seen.parts_G[largest] <= 0:
        return ""
    return _WORDS[list(GROUPS)[largest]](seen)


def _text(seen: ReasonInputs) -> str:
    if seen.nearest is None or seen.raw("sim_max") <= 0:
        return ""
    return f"because you chose {_short(seen.nearest)}"


def _co_occurrences(seen: ReasonInputs) -> str:
    if seen.last is not None and seen.raw("after_last") > 0:
        return f"often follows {_short(seen.last)}"
    if seen.raw("after_recent") > 0:
        return "often follows what you chose"
    if seen.raw("with_recent") > 0:
        return "often chosen together with what you chose"
    return ""


def _taste(seen: ReasonInputs) -> str:
    if seen.raw("affinity_lift") > 0:
        return "of a kind you choose more than others do"
    if seen.raw("affinity") > 0:
        return "of a kind you have chosen"
    return ""


def _popularity(seen: ReasonInputs) -> str:
    return "popular now" if _above(seen, "accepts_") else ""


def _age(seen: ReasonInputs) -> str:
    return "new here" if seen.raw("unseen") > 0 or _below(seen, "age") else ""


def _user(seen: ReasonInputs) -> str:
    """It is the same for every item: no reason to prefer one."""
    del seen
    return ""


_WORDS: Mapping[str, Callable[[ReasonInputs], str]] = {
    TEXT: _text,
    COMPANIONS: _co_occurrences,
    TASTE: _taste,
    POPULARITY: _popularity,
    AGE: _age,
    USER: _user,
}


def _above(seen: ReasonInputs, prefix: str) -> bool:
    """Whether any input of that name is above what is usual."""
    return any(seen.standard_D[at] > 0 for name, at in seen.at.items() if name.startswith(prefix))


def _below(seen: ReasonInputs, name: str) -> bool:
    return bool(name in seen.at and seen.standard_D[seen.at[name]] < 0)


def _short(title: str) -> str:
    return title if len(title) <= LONGEST_TITLE else title[: LONGEST_TITLE - 1] + "…"


def columns(names: Sequence[str]) -> list[list[int]]:
    """Positions of the inputs of each group, in the order of ``GROUPS``."""
    found: dict[str, list[int]] = {group: [] for group in GROUPS}
    for at, name in enumerate(names):
        found[group_of(name)].append(at)
    return list(found.values())
