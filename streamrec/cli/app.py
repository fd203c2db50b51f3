"""Puts the command groups together and turns errors into exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from streamrec import __version__
from streamrec.cli import (
    adapters,
    chat,
    copy,
    dead_letter,
    demo,
    doctor,
    drill,
    keys,
    produce,
    replay,
    replies,
    run,
    show_settings,
    state,
    status,
    talk,
    train,
    users,
    why,
)
from streamrec.cli.exit_codes import exit_codes
from streamrec.cli.help_text import reflow, reflow_commands

HELP = """\
A recommender that learns while it serves.

Clicks come in on Kafka, recommendations go out on Kafka; in between, LoRA
adapters of a language model are trained, checked and swapped in as it runs.

\b
  see it work          streamrec demo
  run it here          streamrec up          (the rest: in another terminal)
  feed it              streamrec items load items.jsonl
                       streamrec events send events.jsonl
  ask it               streamrec request ann --query "a quiet film"
  watch it             streamrec status --watch
  undo its learning    streamrec adapters rollback

Settings are environment variables: `streamrec settings` lists them all.
"""

app = typer.Typer(
    name="streamrec",
    help=reflow(HELP),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"streamrec {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Options of the command as a whole."""


for group in (
    demo,
    run,
    train,
    produce,
    talk,
    chat,
    replies,
    dead_letter,
    status,
    state,
    replay,
    copy,
    doctor,
    users,
    show_settings,
    adapters,
    why,
    keys,
    drill,
):
    group.register(app)
reflow_commands(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; the exit code says how it went (0, 1, 2 or 130).

    ``arguments``: in place of the process's own.
    """
    with exit_codes():
        app(arguments, prog_name="streamrec")
