"""``adapters …``: which generation answers, and the brake.

Every command here reads or appends to one task's slot in the control log, which the task's
workers follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamrec.apps import release_fields as fields
from streamrec.cli import adapters_view as view
from streamrec.cli import lineage, live_view
from streamrec.cli.console import JsonOption, TaskOption, err, out, print_json, say, words
from streamrec.core.release.registry import RegistryState
from streamrec.core.tasks import EVERY, RANKING
from streamrec.errors import UserError

if TYPE_CHECKING:
    from streamrec.loop.releasing.fleet_watch import SwapReport

GenerationArgument = Annotated[str, typer.Argument(help="As `adapters list` names it.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-m", help="Kept in the control log.")]


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    group = typer.Typer(
        help="See, activate and roll back what the model learned.", no_args_is_help=True
    )
    group.command("list")(list_generations)
    for command in (show, live, activate, rollback, pin, unpin, *lineage.COMMANDS):
        group.command()(command)
    app.add_typer(group, name="adapters", rich_help_panel="Release")


def list_generations(task: TaskOption = RANKING, as_json: JsonOption = False) -> None:
    """List generations, newest first, and what became of each; ``--task all``: of every task.

    \b
    streamrec adapters list
    streamrec adapters list --task all
    streamrec adapters list --json | jq -r '.champion'
    """
    from streamrec.apps import clients, releases
    from streamrec.infra.clock import SystemClock

    settings = clients.located()
    if task == EVERY:
        slots = [releases.slot(settings, name) for name in clients.known_tasks(settings)]
    else:
        slots = [releases.slot(settings, clients.checked_task(settings, task))]
    if as_json:
        shown = {slot.task: fields.slot_fields(slot) for slot in slots}
        print_json({"tasks": shown} if task == EVERY else shown[task])
        return
    out.print(view.listing(slots, SystemClock().now_ms()))
    for slot in slots:
        if pinned := slot.state.pin:
            whose = f"{slot.task}: " if slot.task != RANKING else ""
            say(f"{whose}pinned by {pinned.actor}: {pinned.reason or 'no reason given'}")


def show(
    generation: GenerationArgument, task: TaskOption = RANKING, as_json: JsonOption = False
) -> None:
    """Show one generation: where it comes from, what it learned from, how it was judged.

    \b
    streamrec adapters show g000012-1a2b3c4d
    """
    from streamrec.apps import clients, releases

    settings = clients.located()
    found = releases.seen(settings, generation, clients.checked_task(settings, task))
    if as_json:
        print_json(fields.manifest_fields(found.manifest, found.records))
    else:
        out.print(view.detail(found.manifest, found.records))


def live(task: TaskOption = RANKING, as_json: JsonOption = False) -> None:
    """Show how each generation does with its users, and how it serves.

    Outcomes are known while the trainer follows them: STREAMREC_CANARY_SHARE or
    STREAMREC_SERVING_EXPLORE above 0. Service levels are of the last ten seconds.

    \b
    streamrec adapters live
    streamrec adapters live --json | jq '.outcomes.trial'
    """
    from streamrec.apps import clients
    from streamrec.infra.clock import SystemClock
    from streamrec.loop.releasing.levels import by_generation

    settings = clients.located()
    clients.checked_task(settings, task)
    with clients.control_log(settings, task=task) as control:
        latest = control.latest()
    state = latest.state if latest else RegistryState()
    with clients.redis(settings) as redis:
        report = clients.live_board(settings, redis, task).get()
        levels = by_generation(clients.fleet(settings, redis, task).workers())
    if as_json:
        print_json(live_view.fields(state, report, levels))
    else:
        out.print(live_view.picture(state, report, levels, SystemClock().now_ms()))


def activate(
    generation: GenerationArgument,
    *,
    task: TaskOption = RANKING,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make a generation the champion, on every serving worker.

    They load it first, then flip together. This lifts a pin.

    \b
    streamrec adapters activate g000012-1a2b3c4d -m "looked at it, it is good"
    """
    from streamrec.apps import clients, trust

    settings = clients.located()
    trust.check_signature(settings, generation, clients.checked_task(settings, task))
    with clients.release_service(settings, task) as service:
        _tell(service.activate(generation, reason), "active", as_json)


def rollback(
    *,
    to: Annotated[str, typer.Option(help="A former champion; default: the one before.")] = "",
    relearn: Annotated[
        bool, typer.Option("--relearn", help="Take the learner back too, and never learn a range.")
    ] = False,
    quarantine: Annotated[
        list[str] | None,
        typer.Option(help="PARTITION:FROM-TO of events (TO excluded); repeat for more."),
    ] = None,
    since: Annotated[str, typer.Option(help="All events since 10m, 2h, or an ISO time.")] = "",
    user: Annotated[str, typer.Option(help="Only this user's examples of those.")] = "",
    task: TaskOption = RANKING,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Go back to the previous champion, at once; with --relearn the learner goes back too.

    Returns when every serving worker has confirmed. Without --relearn the champion is pinned:
    the trainer learns on, but activates nothing until `adapters unpin` or `adapters activate`.

    With --relearn the trainer restores weights, optimiser, replay memory and offsets of the
    newest generation that has learned nothing of the range, and learns on from there without
    it, for good. Nothing is pinned. The new lineage shows the hole (`adapters show`).

    \b
    streamrec adapters rollback -m "odd lists since noon"
    streamrec adapters rollback --to g000007-9f8e7d6c
    streamrec adapters rollback --relearn --quarantine 0:1200-1350 -m "a bot"
    streamrec adapters rollback --relearn --since 10m --user u42
    """
    from streamrec.apps import clients, releases, trust

    settings = clients.located()
    if not relearn and (quarantine or since or user):
        raise UserError("--quarantine, --since and --user say what to relearn without: --relearn")
    clients.checked_task(settings, task)
    if not relearn:
        _tell(releases.rollback(settings, reason, to, task=task), "rolled back to", as_json)
        return
    if to:
        trust.check_signature(settings, to, task)
    with clients.release_service(settings, task) as service:
        from streamrec.apps import undo

        wanted = undo.UndoRequest(tuple(quarantine or ()), since, user, to)
        planned = undo.plan(settings, service.state(), wanted, task)
        report = service.relearn(reason, planned.to, planned.ranges)
        _tell(report, "rolled back to", as_json, view.undo_fields(planned))
        if not as_json:
            out.print(words(view.undo_words(planned)), soft_wrap=True)


def pin(
    *, task: TaskOption = RANKING, reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Keep the champion: nothing new is activated until `adapters unpin`."""
    from streamrec.apps import clients, releases

    settings = clients.located()
    clients.checked_task(settings, task)
    _tell_state(releases.pin(settings, reason, task=task), as_json)


def unpin(
    *, task: TaskOption = RANKING, reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Let the trainer activate new generations again."""
    from streamrec.apps import clients, releases

    settings = clients.located()
    clients.checked_task(settings, task)
    _tell_state(releases.unpin(settings, reason, task=task), as_json)


def _tell(
    report: SwapReport, verb: str, as_json: bool, more: Mapping[str, Any] | None = None
) -> None:
    """Who confirmed; exit code 1 when somebody did not."""
    if as_json:
        print_json(fields.swap_fields(report) | dict(more or {}))
    else:
        console = out if report.complete else err
        for line in view.swap_words(report, verb):
            console.print(words(line), soft_wrap=True)
    if not report.complete:
        raise typer.Exit(1)


def _tell_state(state: RegistryState, as_json: bool) -> None:
    if as_json:
        print_json(fields.state_fields(state))
    elif state.pin:
        out.print(f"{state.champion} is pinned")
    else:
        out.print("unpinned; the next good candidate is activated")
