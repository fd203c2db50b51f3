"""``state``: what is kept in Redis and the logs it comes from, where the two no longer fit."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from streamrec.cli.console import JsonOption, out, print_json

if TYPE_CHECKING:
    from streamrec.apps.state import Parted

group = typer.Typer(no_args_is_help=True, help="State in Redis, and the logs that it comes from.")


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    app.add_typer(group, name="state", rich_help_panel="Operate")


@group.command("check")
def check(*, as_json: JsonOption = False) -> None:
    """Say where state and logs do not fit, and what was given up before. Changes nothing.

    The exit code is 1 when a partition waits.
    """
    from streamrec.apps import clients, state

    settings = clients.located()
    waiting, passed = state.parted(settings), state.passages(settings)
    if as_json:
        before = {str(source): [asdict(p) for p in found] for source, found in passed.items()}
        print_json({"waiting": [_fields(one) for one in waiting], "passed": before})
    else:
        for source, found in passed.items():
            for one in found:
                at = datetime.fromtimestamp(one.at_ms / 1000, UTC)
                lost = f"{one.end - one.start:,} offsets given up from {one.start}"
                out.print(Text(f"{source}: {lost} by {one.by} at {at:%Y-%m-%d %H:%M}: {one.why}"))
        _show(waiting)
    if waiting:
        raise typer.Exit(1)


@group.command("continue")
def carry_on(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what.")] = False,
    same_offsets: Annotated[
        bool,
        typer.Option(
            "--same-offsets",
            help="A topic made again holds the same records at the same offsets (a backup).",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Go on past what a log no longer holds, and record it. Without --yes, only say what.

    For partitions of `events` that wait: retention was faster than the worker, or the topic was
    deleted and made again, or restored. What is known of users stays. Workers may run.

    \b
    streamrec state continue
    streamrec state continue --yes
    """
    from streamrec.apps import clients, state

    settings = clients.located()
    waiting = state.parted(settings)
    if yes:
        state.carry_on(settings, waiting, same=same_offsets)
    if as_json:
        print_json({"done": yes, "waiting": [_fields(one) for one in waiting]})
        return
    _show(waiting)
    if waiting:
        done = "done: workers go on within seconds" if yes else "nothing is changed without --yes"
        out.print(Text(done))


@group.command("migrate")
def migrate(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Move users' state to where a larger number of partitions of `events` puts it.

    After partitions were added. Let feature workers read until they wait, stop all workers, run it,
    start them again. Killed, it is run again. Without --yes, only say who would move.

    \b
    streamrec state migrate
    streamrec state migrate --yes
    """
    from streamrec.apps import clients, migration

    settings = clients.located()
    planned = migration.plan(settings)
    moves = planned.moves if planned else {}
    if planned and yes:
        migration.migrate(settings, planned)
    if as_json:
        fields = [{"from": a, "to": b, "users": n} for (a, b), n in sorted(moves.items())]
        print_json({"done": yes, "needed": planned is not None, "moves": fields})
    elif planned is None:
        out.print(Text("users are laid out as events is: nothing to do"))
    else:
        layout, total = planned.layout, sum(moves.values())
        what = f"{total:,} users move: from {layout.partitions} to {layout.moving_to} partitions"
        out.print(Text(f"{what}; {'done' if yes else 'nothing is changed without --yes'}"))


def _show(waiting: list[Parted]) -> None:
    if not waiting:
        out.print(Text("state and logs fit together"))
    for one in waiting:
        where = f"goes on at {one.on.position}, {one.lost:,} offsets lost"
        out.print(Text(f"{one.source} at {one.position}: {one.on.why}; {where}"), soft_wrap=True)


def _fields(one: Parted) -> dict[str, Any]:
    return {
        "source": str(one.source),
        "position": one.position,
        "why": one.on.why,
        "continues_at": one.on.position,
        "lost": one.lost,
    }
