"""``events send``, ``items load``, ``topics create``: what goes into the loop."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import IO, Annotated

import typer

from streamrec.cli.console import JsonOption, print_errors, print_json, say
from streamrec.core import topics
from streamrec.errors import UserError

FEED = "Feed and ask"
SHOWN_PROBLEMS = 20

FileArgument = Annotated[
    str, typer.Argument(help="JSON lines; - reads standard input.", metavar="FILE")
]


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    events = typer.Typer(help="Send interactions.", no_args_is_help=True)
    events.command("send")(send_events)
    items = typer.Typer(help="Fill the catalogue.", no_args_is_help=True)
    items.command("load")(load_items)
    topic = typer.Typer(help="Lay out the Kafka topics.", no_args_is_help=True)
    topic.command("create")(create_topics)
    for name, group in (("events", events), ("items", items), ("topics", topic)):
        app.add_typer(group, name=name, rich_help_panel=FEED)


def send_events(file: FileArgument, as_json: JsonOption = False) -> None:
    """Send interactions to the topic `events`, one JSON object a line.

    Every line is checked first. Good lines are sent; each bad one is named with its number
    and what is wrong, and the exit code is then 1. Numbers are seconds or milliseconds.
    A line without an event_id is given one made of all it says: a file that is sent again
    changes nothing, and two equal lines are one event.

    \b
    {"event_id": "1", "user_id": "ann", "item_id": "42", "kind": "click",
     "occurred_at": "2026-03-01T12:00:00Z"}
    optional: impression_id, position, value, recommendation_id
    kinds: view click like dislike purchase play

    \b
    streamrec events send clicks.jsonl
    tail -f clicks.jsonl | streamrec events send -
    """
    _send(topics.EVENTS, file, as_json)


def load_items(file: FileArgument, as_json: JsonOption = False) -> None:
    """Add or change catalogue items, one JSON object a line.

    Serving workers take a new or changed item up within seconds, without a restart.

    \b
    {"item_id": "42", "title": "The Third Man", "text": "Vienna, 1949",
     "categories": ["Thriller"], "attributes": {"language": "en"},
     "available": true}

    \b
    streamrec items load films.jsonl
    """
    _send(topics.ITEMS, file, as_json)


def create_topics(as_json: JsonOption = False) -> None:
    """Create the topics that are missing, and check those that are there.

    `streamrec up` does this by itself; use it before you run workers one by one.
    """
    from streamrec.apps import clients
    from streamrec.infra.wire.kafka_topics import create_topics

    settings = clients.located()
    created = create_topics(settings.kafka)
    if as_json:
        print_json({"created": created})
    else:
        say(f"created {', '.join(created)}" if created else "every topic is there already")


def _send(topic: str, file: str, as_json: bool) -> None:
    from streamrec.apps import clients, identities
    from streamrec.loop.ingesting.send import BadLine, send_lines

    problems: list[BadLine] = []

    def note(bad: BadLine) -> None:
        problems.append(bad)
        if len(problems) <= SHOWN_PROBLEMS and not as_json:
            print_errors([f"{file} line {bad.number}: {bad.reason}"])

    with _opened(file) as lines:
        settings = clients.located()
        identities.check_pseudonyms(settings)
        publisher = clients.publisher(settings, "streamrec-cli")
        try:
            codec, known_as = clients.codec(settings), partial(clients.known_as, settings)
            with closing(clients.tracer(settings)) as tracer:
                report = send_lines(
                    lines, topic, codec, publisher, note, known_as=known_as, tracer=tracer
                )
        finally:
            publisher.close()
    if as_json:
        refused = [{"line": bad.number, "reason": bad.reason} for bad in problems]
        print_json({"topic": topic, "sent": report.sent, "refused": refused})
    else:
        if report.refused > SHOWN_PROBLEMS:
            print_errors([f"and {report.refused - SHOWN_PROBLEMS:,} lines more"])
        say(f"{report.sent:,} {topic} sent, {report.refused:,} refused")
    if problems:
        raise typer.Exit(1)


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = open(file, "rb")  # noqa: PTH123, SIM115 - closed below; Path() hides "-"
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    with stream:
        yield stream
