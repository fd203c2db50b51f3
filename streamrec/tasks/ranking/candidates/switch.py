"""Whether every item is scored for a list, or candidates.

Knows a catalogue's size and what a person has set. Does not know either way of scoring.
"""

from __future__ import annotations

from streamrec.settings import Scored

EXACT_ITEMS = 50_000
"""Up to so many a list is scored whole in some milliseconds (docs/capacity.md)."""


def candidates_from(scored: Scored) -> int | None:
    """Items from which on there are candidates; None: never."""
    return {Scored.AUTO: EXACT_ITEMS + 1, Scored.EXACT: None, Scored.CANDIDATES: 1}[scored]
