"""``users``: what is held about a person, and having it forgotten."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamrec.cli.console import JsonOption, out, print_json, say, table
from streamrec.core.tasks import RANKING
from streamrec.errors import UserError

if TYPE_CHECKING:
    from streamrec.apps.users import Held, TaskTraces, Traces

UserArgument = Annotated[str, typer.Argument(help="The person's own id.", metavar="USER")]
SHOWN = 10


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    users = typer.Typer(help="What is held about a person.", no_args_is_help=True)
    users.command("show")(show)
    users.command("forget")(forget)
    app.add_typer(users, name="users", rich_help_panel="Watch")


def show(
    user: UserArgument,
    *,
    generations: Annotated[
        bool, typer.Option("--generations", help="Also who learned from them: reads every batch.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is held about a person, and under which name.

    With STREAMREC_TRUST_PSEUDONYM_KEY set, give the person's own id: it is hashed here.

    \b
    streamrec users show ann
    streamrec users show ann --generations
    """
    from streamrec.apps import clients, users

    settings = clients.located()
    person = users.held(settings, user)
    learned = users.traces(settings, person) if generations else None
    if as_json:
        print_json(_fields(person, learned))
        return
    _show(person)
    if learned is not None:
        _show_traces(learned, user)


def forget(
    user: UserArgument,
    *,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the workers.")] = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Remove a person's state and examples, and name the generations that learned from them.

    One event that says so goes to the topic `events`. In its place in the order of things the
    feature workers remove the record and the trainer takes the person's examples out of its
    replay memory. Weights keep what they learned until you relearn; Kafka keeps messages
    until their retention ends. Both are said below.

    \b
    streamrec users forget ann
    """
    from streamrec.apps import clients, users

    settings = clients.located()
    person = users.held(settings, user)
    done = users.forget(settings, person, wait)
    learned = users.traces(settings, person)
    if as_json:
        print_json(_fields(person, learned) | {"applied": done})
    if not done:
        raise UserError(
            f"sent, but no feature worker has applied it within {wait:g} s; it counts as soon as "
            "one does: `streamrec status`"
        )
    if as_json:
        return
    say(f"forgotten: {person.known_as}, in {person.source}")
    _show_traces(learned, user)
    say(
        "messages with this id stay in Kafka until the retention of events, user-updates, "
        "requests, recommendations, training-batches and dead-letter ends; the trainer's "
        "snapshots of released generations until newer ones replace them"
    )


def _show(person: Held) -> None:
    state = person.state
    if state is None:
        say(f"nothing is held about {person.known_as} in {person.source}")
        return
    rows: list[tuple[object, ...]] = [
        ("known as", person.known_as),
        ("partition", str(person.source)),
        ("first seen", _time(state.first_seen_ms)),
        ("last seen", _time(state.last_seen_ms)),
        ("views, accepted", f"{state.views:,}, {state.accepts:,}"),
        ("last accepted", " ".join(state.history[-SHOWN:])),
        ("not shown again", f"{len(state.consumed):,} items"),
        ("waiting outcomes", f"{len(state.pending):,}"),
    ]
    out.print(table("", ["what", "held"], rows))


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def _show_traces(learned: Traces, user: str) -> None:
    if learned.first_batch:
        say(
            f"mini-batches before {learned.first_batch:,} are gone: what was learned from them "
            "cannot be told"
        )
    for one in learned.tasks:
        if one.unreadable:
            say(f"{one.unreadable:,} mini-batches of {one.task} cannot be read here: not counted")
    rows: list[tuple[object, ...]] = [
        (one.task, g.generation, g.examples) for one in learned.tasks for g in one.generations
    ]
    if not rows:
        say("no generation has learned from them, as far as Kafka still tells")
        return
    out.print(table("learned from them", ["task", "generation", "examples>"], rows))
    for one in learned.tasks:
        if one.generations:
            whose = "" if one.task == RANKING else f"--task {one.task} "
            say(
                f"to take that back: streamrec adapters rollback --relearn {whose}"
                f"--quarantine {one.quarantine} --user {user}"
            )


def _fields(person: Held, learned: Traces | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "known_as": person.known_as,
        "source": str(person.source),
        "state": None if person.state is None else person.state.to_record(),
    }
    if learned is not None:
        told = {one.task: _task_fields(one) for one in learned.tasks}
        found |= told[RANKING] | {"first_batch": learned.first_batch, "tasks": told}
    return found


def _task_fields(one: TaskTraces) -> dict[str, Any]:
    return {
        "generations": [asdict(made) for made in one.generations],
        "quarantine": one.quarantine,
    }
