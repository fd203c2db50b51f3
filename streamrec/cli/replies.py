"""``replies …``: what was said, and what waits for a person before it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamrec.cli.console import JsonOption, ago, out, print_json, say, table, words
from streamrec.cli.replies_report import report

if TYPE_CHECKING:
    from streamrec.tasks.replies.made import MadeReply

ReplyArgument = Annotated[str, typer.Argument(help="A reply's id.", metavar="REPLY")]


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    group = typer.Typer(
        help="What was said about lists, and what waits for a person.", no_args_is_help=True
    )
    group.command()(show)
    group.command()(report)
    review = typer.Typer(
        help="Replies that wait for a person (STREAMREC_REPLIES_REVIEW).", no_args_is_help=True
    )
    review.command("list")(list_held)
    review.command()(approve)
    review.command()(reject)
    group.add_typer(review, name="review")
    app.add_typer(group, name="replies", rich_help_panel="Watch")


def show(reply: ReplyArgument, *, as_json: JsonOption = False) -> None:
    """Show one reply of the last hour: its words, what it names, who wrote it.

    \b
    streamrec replies show rp-1f0c2a
    """
    from streamrec.apps import clients, reviews

    found = reviews.of(clients.located(), reply)
    if as_json:
        print_json(_fields(found))
        return
    said = found.said
    out.print(words(said.text), soft_wrap=True)
    by = said.generation or f"a template ({said.fallback})"
    say(f"to {said.user_id}, who asked {found.query!r}; by {by}; names {', '.join(said.items)}")
    if found.held is not None:
        say(f"it stands in for one that waits ({found.why}):")
        out.print(words(found.held.text), soft_wrap=True)


def list_held(*, as_json: JsonOption = False) -> None:
    """List the replies that wait, oldest first.

    \b
    streamrec replies review list
    """
    from streamrec.apps import clients, reviews
    from streamrec.infra.clock import SystemClock

    found, now_ms = reviews.held(clients.located()), SystemClock().now_ms()
    if as_json:
        print_json([_fields(one) for one in found])
        return
    rows = [
        (one.reply_id, ago(now_ms - one.said.written_at_ms), one.why, one.query, one.held.text)
        for one in found
        if one.held is not None
    ]
    heads = ["reply", "waits>", "why", "asked", "would be said"]
    out.print(table(f"{len(rows)} replies wait", heads, rows))


def approve(reply: ReplyArgument) -> None:
    """Let a reply be said, in place of the template that stood in for it; it counts as accepted.

    \b
    streamrec replies review approve rp-1f0c2a
    """
    from streamrec.apps import clients, reviews

    said = reviews.approve(clients.located(), reply)
    say(f"said to {said.user_id}: {said.text}")


def reject(reply: ReplyArgument) -> None:
    """Let a reply never be said; it counts as rejected.

    \b
    streamrec replies review reject rp-1f0c2a
    """
    from streamrec.apps import clients, reviews

    said = reviews.reject(clients.located(), reply)
    say(f"rejected; {said.user_id} keeps what was said: {said.text}")


def _fields(found: MadeReply) -> dict[str, Any]:
    from dataclasses import asdict

    held = found.held and asdict(found.held)
    return {**asdict(found.said), "query": found.query, "held": held, "why": found.why}
