"""``keys``: the pair that signs generations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamrec.cli.console import JsonOption, print_json, say


def register(app: typer.Typer) -> None:
    """Add this command to ``app``."""
    keys = typer.Typer(help="Keys that sign generations.", no_args_is_help=True)
    keys.command("new")(new)
    app.add_typer(keys, name="keys", rich_help_panel="Release")


def new(
    directory: Annotated[Path, typer.Argument(help="Where; made when missing.", metavar="DIR")],
    as_json: JsonOption = False,
) -> None:
    """Make a key pair (Ed25519): the trainer signs with it, everybody else checks.

    Nothing is overwritten. To change keys without a stop, name both public files in
    STREAMREC_TRUST_VERIFY_KEYFILES first, then give the trainer the new private one.

    \b
    streamrec keys new /etc/streamrec/keys
    """
    from streamrec.models.signing import write_key_pair

    private, public = write_key_pair(directory)
    if as_json:
        print_json({"private": str(private), "public": str(public)})
        return
    say(f"the trainer alone:  STREAMREC_TRUST_SIGNING_KEYFILE={private.absolute()}")
    say(f"every process:      STREAMREC_TRUST_VERIFY_KEYFILES={public.absolute()}")
