"""Why a reply is refused: every reason there is, by the name under which it is counted."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    NO_ITEM = "no-item"
    """It names nothing of its list."""
    UNKNOWN_SLOT = "unknown-slot"
    """It names a place that its prompt has not."""
    MARKUP = "markup"
    """Brackets, bars, tags, or a slot that is none."""
    UNFINISHED = "unfinished"
    """No sentence of it that names an item has an end."""
    TOO_SHORT = "too-short"
    TOO_LONG = "too-long"
    REPEATS = "repeats"
    """The same words or the same item over and over."""
    LANGUAGE = "language"
    """Not that of the query."""
    LINK = "link"
    NAMES_OTHER = "names-other"
    """It names an item that is neither on its list nor in the history."""
    NOT_HAD = "not-had"
    """It says that the user had an item of the list, which they had not."""
    NUMBER = "number"
    """A number that no item has that it names."""
    FACT = "fact"
    """A category or an attribute that no item has that it names."""
    LEAK = "leak"
    """It says what its prompt says, not what it was asked."""
    BLOCKED = "blocked"
    """A word or a pattern of the blocklist."""
    CLASSIFIED = "classified"
    """The text classifier says so."""
