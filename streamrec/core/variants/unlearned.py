"""What of an item's counts no example holds yet, so that examples hold each impression once.

A table as ``credit`` has them, of the impressions since the last example. It is emptied by the
event that makes it worth one; both are functions of the log. Knows tables. What an example says
is the task's (``tasks.copy.example_maker``).
"""

from __future__ import annotations

from streamrec.core.events import Interaction
from streamrec.core.state.counters import Counter, Numbers, Owner
from streamrec.core.variants.credit import PARTS, SLOTS, credited

CLICKS = 20.0
VIEWS = 5_000.0
"""So many of an item's, in one partition, are worth an example: fewer clicks are mostly noise."""

NOTHING: Numbers = (0.0,) * (SLOTS * PARTS)


def worth_an_example(numbers: Numbers) -> bool:
    """Whether a table holds enough."""
    return sum(numbers[2::PARTS]) >= CLICKS or sum(numbers[1::PARTS]) >= VIEWS


def _update(numbers: Numbers, event: Interaction) -> Numbers:
    counted = credited(numbers, event)
    return NOTHING if worth_an_example(counted) else counted


UNLEARNED = Counter("wordings-unlearned", Owner.ITEM, SLOTS * PARTS, _update)
"""Kept of every item, in its row ``s/wordings-unlearned/<item>``."""
