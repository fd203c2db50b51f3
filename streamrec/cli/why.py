"""``why``: one recommendation, taken apart."""

from __future__ import annotations

from typing import Annotated

import typer

from streamrec.cli.console import JsonOption, out, print_json, say
from streamrec.errors import UserError


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("why", rich_help_panel="Release")(why)


def why(
    recommendation_id: Annotated[
        str,
        typer.Argument(
            metavar="RECOMMENDATION_ID", help="As in `recommendations tail --json`, or `request`."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Explain one recommendation: its scores by part, and what it was made from.

    Shows what text, co-occurrences, taste, popularity, age and user each added to every item's
    score; which of the user's items drove that; the generation, what it had learned from and
    how it was judged; and how fresh state and statistics were.

    The inputs of an answer are kept for an hour (STREAMREC_SERVING_EXPLAIN_S). Later, what the
    topic still says is shown, and the exit code is 1.

    \b
    streamrec why request:cli-3f2a9c81b7d4
    streamrec why user-update:2-1044 --json | jq '.items[0].linear'
    """
    from streamrec.apps import clients
    from streamrec.apps.why import fields
    from streamrec.apps.why import why as look
    from streamrec.cli import why_view as view
    from streamrec.infra.clock import SystemClock

    settings = clients.located()
    found = look(settings, recommendation_id)
    if as_json:
        print_json(fields(found))
        if found.kept is None:
            raise typer.Exit(1)
        return
    now_ms = SystemClock().now_ms()
    if found.kept is not None:
        out.print(view.explained(found, found.kept, clients.catalogue_items(settings), now_ms))
        return
    if found.published is None:
        raise UserError(f"{recommendation_id}: not on the topic either; {found.problem}")
    say(found.problem)
    out.print(view.replay_batch(found.published, clients.catalogue_items(settings), now_ms))
    raise typer.Exit(1)
