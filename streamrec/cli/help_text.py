"""Help that fits any terminal: paragraphs of docstrings are joined before they are wrapped.

A paragraph that starts with ``\\b`` is shown line by line, as it stands (examples).
"""

from __future__ import annotations

import inspect
import re

import typer


def reflow(text: str) -> str:
    """Each paragraph as one line; those marked with ``\\b`` as they are."""
    paragraphs = re.split(r"\n[ \t]*\n", text.strip())
    return "\n\n".join(
        paragraph if paragraph.startswith("\b") else " ".join(paragraph.split())
        for paragraph in paragraphs
    )


def reflow_commands(app: typer.Typer) -> None:
    """All commands of ``app`` and of its groups."""
    for command in app.registered_commands:
        command.help = reflow(inspect.getdoc(command.callback) or "")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            reflow_commands(group.typer_instance)
