"""``settings``: every setting, its value and what it means."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from streamrec.cli.console import JsonOption, out, print_json, table

if TYPE_CHECKING:
    from streamrec.settings import Described


def register(app: typer.Typer) -> None:
    """Add this command to ``app``."""
    app.command("settings", rich_help_panel="Watch")(show_settings)


def show_settings(
    *,
    as_json: JsonOption = False,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only those that are set somewhere.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As the table in docs/configuration.md.")
    ] = False,
) -> None:
    """List every setting: environment variable, value now, where it came from, what it means.

    Secrets are masked; `NAME_FILE` instead of `NAME` reads a secret from a file.

    \b
    streamrec settings --changed
    """
    from streamrec.settings import describe
    from streamrec.settings.reading import read
    from streamrec.settings.showing import DEFAULT

    found = read()
    rows = [
        row
        for row in describe(found.settings, found.sources)
        if not changed or row.source != DEFAULT
    ]
    if markdown:
        sys.stdout.write(as_markdown(rows))
        return
    if as_json:
        print_json(
            [{"name": r.name, "value": r.value, "source": r.source, "doc": r.doc} for r in rows]
        )
        return
    shown = [(row.name, row.value or "(empty)", row.source, row.doc) for row in rows]
    out.print(table("", ["setting", "value", "from", "meaning"], shown))


def as_markdown(rows: Iterable[Described]) -> str:
    """Names, defaults and meanings as a Markdown table."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for row in rows:
        default = f"`{row.default}`" if row.default else ""
        doc = row.doc.replace("|", r"\|")
        lines.append(f"| `{row.name}` | {default} | {doc} |")
    return "\n".join(lines) + "\n"
