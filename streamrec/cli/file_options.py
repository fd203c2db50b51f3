"""What ``items load`` and ``events send`` are told about a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from streamrec.errors import UserError

_FILE, _FIELDS, _TIMES = "How the file is laid out", "What its columns are", "How times are written"
_RUN = "How it is loaded"

FileArgument = Annotated[
    str,
    typer.Argument(
        help="JSON lines, a JSON array, CSV or Parquet; gzip and zstd too. A path, a URL (s3://, "
        "gs://, https://, …), or - for standard input.",
        metavar="FILE",
    ),
]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        help="jsonl, json, csv, tsv, parquet, or ubi (User Behavior Insights: searches and what "
        "came of them); default: by the suffix, else JSON.",
        rich_help_panel=_FILE,
    ),
]
DelimiterOption = Annotated[
    str,
    typer.Option(
        help="Between cells of CSV; default: what the header has most of , ; | and tab.",
        rich_help_panel=_FILE,
    ),
]
EncodingOption = Annotated[
    str,
    typer.Option(
        help="Of text; default: UTF-8, or what a byte order mark says.", rich_help_panel=_FILE
    ),
]
HeaderOption = Annotated[
    str,
    typer.Option(
        "--header",
        help="Names of the columns, by commas, of CSV that has no header.",
        rich_help_panel=_FILE,
        metavar="COLUMN,…",
    ),
]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="A field is this column; of JSON and Parquet also product.id.",
        rich_help_panel=_FIELDS,
        metavar="FIELD=COLUMN",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A field is this in every row.",
        rich_help_panel=_FIELDS,
        metavar="FIELD=VALUE",
    ),
]
SplitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--split",
        help="What stands between the entries of a list in one cell, as in --split 'categories=|'.",
        rich_help_panel=_FIELDS,
        metavar="FIELD=SEPARATOR",
    ),
]
NullOption = Annotated[
    list[str] | None,
    typer.Option(
        "--null",
        help="A cell that means none, beside an empty one and \\N.",
        rich_help_panel=_FIELDS,
        metavar="TEXT",
    ),
]
KindOption = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        help="What the file calls a kind; =- leaves its rows out.",
        rich_help_panel=_FIELDS,
        metavar="NAME=KIND",
    ),
]
UnitOption = Annotated[
    str,
    typer.Option(
        "--time-unit",
        help="s, ms, us or ns since 1970; default: told by the size.",
        rich_help_panel=_TIMES,
    ),
]
TimeFormatOption = Annotated[
    str,
    typer.Option(
        "--time-format",
        help="As strptime has it: '%d.%m.%Y %H:%M'; default: ISO 8601, or a number.",
        rich_help_panel=_TIMES,
    ),
]
ZoneOption = Annotated[
    str,
    typer.Option(
        "--time-zone",
        help="Of times that name none, as Europe/Berlin; default: UTC.",
        rich_help_panel=_TIMES,
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Check every row, show the first as they would be sent, send nothing.",
        rich_help_panel=_RUN,
    ),
]
SortOption = Annotated[
    bool,
    typer.Option(
        "--sort",
        help="Send in the order in which it happened: reads the whole file into memory first.",
        rich_help_panel=_RUN,
    ),
]
ErrorsOption = Annotated[
    str,
    typer.Option(
        "--errors",
        help="Write refused rows here as they stand in the file, to be corrected and loaded.",
        rich_help_panel=_RUN,
        metavar="FILE",
    ),
]
SkipOption = Annotated[
    int,
    typer.Option("--skip", min=0, help="Leave out so many rows first.", rich_help_panel=_RUN),
]


def pairs(option: str, given: Sequence[str] | None) -> list[tuple[str, str]]:
    """Of texts with a = in them. Raises UserError."""
    found = []
    for text in given or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UserError(f"{option} {text}: expected two names with = between them")
        found.append((name.strip(), value))
    return found
