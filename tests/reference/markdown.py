"""Markdown as the reference pages have it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MADE = "<!-- `python -m tests.reference` makes this page from the code; a test compares. -->\n"


def cell(text: object) -> str:
    """Text for a table: one line, no column of its own."""
    return " ".join(str(text).split()).replace("|", r"\|")


def plain(text: str) -> str:
    """Text that begins no tag."""
    return text.replace("<", "&lt;")


def code(text: object) -> str:
    """As code, or nothing."""
    return f"`{text}`" if str(text) else ""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; empty where there are no rows."""
    lines = ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *lines]) + "\n"


def page(title: str, *parts: str) -> str:
    """A whole page; empty parts leave no trace."""
    return "\n".join(part.rstrip() + "\n" for part in (f"# {title}", MADE, *parts) if part)
