"""``events send``, ``items load``, ``topics create``: what goes into the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from streamrec.cli.console import JsonOption, print_json, say
from streamrec.cli.file_options import (
    DelimiterOption,
    DryRunOption,
    EncodingOption,
    ErrorsOption,
    FileArgument,
    FormatOption,
    HeaderOption,
    KindOption,
    MapOption,
    NullOption,
    SetOption,
    SkipOption,
    SortOption,
    SplitOption,
    TimeFormatOption,
    UnitOption,
    ZoneOption,
    pairs,
)
from streamrec.core import topics

if TYPE_CHECKING:
    from streamrec.infra.files.reading import FileForm

FEED = "Feed and ask"


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


def send_events(
    file: FileArgument,
    *,
    format: FormatOption = "",
    delimiter: DelimiterOption = "",
    encoding: EncodingOption = "",
    header: HeaderOption = "",
    columns: MapOption = None,
    constants: SetOption = None,
    nulls: NullOption = None,
    kinds: KindOption = None,
    unit: UnitOption = "",
    time_format: TimeFormatOption = "",
    zone: ZoneOption = "",
    dry_run: DryRunOption = False,
    sort: SortOption = False,
    errors: ErrorsOption = "",
    skip: SkipOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Send interactions to the topic `events`, from a file of rows.

    Every row is checked first. Good ones are sent; each bad one is named with its line
    and what is wrong, and the exit code is then 1. Numbers are seconds or milliseconds.
    A row without an event_id is given one made of all it says: a file that is sent again
    changes nothing, and two equal rows are one event.

    \b
    {"event_id": "1", "user_id": "ann", "item_id": "42", "kind": "click",
     "occurred_at": "2026-03-01T12:00:00Z"}
    optional: impression_id, position, value, recommendation_id, query, conversation_id
    kinds: view click like dislike purchase play; without item_id: search (query),
    accept and reject (reply_id)

    \b
    streamrec events send clicks.jsonl
    streamrec events send clicks.csv.gz --map user_id=visitor --map item_id=sku \\
      --map occurred_at=ts --set kind=click --dry-run
    streamrec events send s3://exports/clicks.parquet --kind add_to_cart=like
    tail -f clicks.jsonl | streamrec events send -
    cat queries.ndjson events.ndjson | streamrec events send - --format ubi --sort
    """
    from streamrec.cli.load import LoadPlan, load
    from streamrec.infra.files.cells import TimeForm
    from streamrec.infra.files.field_map import FieldPlan

    fields = FieldPlan(
        columns=pairs("--map", columns),
        constants=pairs("--set", constants),
        kinds=pairs("--kind", kinds),
        nulls=tuple(nulls or ()),
        time=TimeForm(unit, time_format, zone),
    )
    form = _form(format, delimiter, encoding, header)
    load(LoadPlan(topics.EVENTS, file, form, fields, dry_run, sort, errors, skip, as_json))


def load_items(
    file: FileArgument,
    *,
    format: FormatOption = "",
    delimiter: DelimiterOption = "",
    encoding: EncodingOption = "",
    header: HeaderOption = "",
    columns: MapOption = None,
    constants: SetOption = None,
    separators: SplitOption = None,
    nulls: NullOption = None,
    dry_run: DryRunOption = False,
    errors: ErrorsOption = "",
    skip: SkipOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Add or change catalogue items, from a file of rows.

    Serving workers take a new or changed item up within seconds, without a restart.

    \b
    {"item_id": "42", "title": "The Third Man", "text": "Vienna, 1949",
     "categories": ["Thriller"], "attributes": {"language": "en"},
     "available": true}

    \b
    streamrec items load films.jsonl
    streamrec items load products.csv --map item_id=sku --map title=name \\
      --map attributes.brand=brand --map categories=path --split 'categories=>' --dry-run
    """
    from streamrec.cli.load import LoadPlan, load
    from streamrec.infra.files.field_map import FieldPlan

    fields = FieldPlan(
        columns=pairs("--map", columns),
        constants=pairs("--set", constants),
        separators=pairs("--split", separators),
        nulls=tuple(nulls or ()),
    )
    form = _form(format, delimiter, encoding, header)
    load(LoadPlan(topics.ITEMS, file, form, fields, dry_run, False, errors, skip, as_json))


def _form(format: str, delimiter: str, encoding: str, header: str) -> FileForm:
    from streamrec.infra.files.reading import FileForm

    names: Any = [name.strip() for name in header.split(",")] if header else ()
    return FileForm(format, delimiter, encoding, names)


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
