"""``replies report``: whether groups of people and of items are served alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from streamrec.cli.console import JsonOption, out, print_json, progress_bar, say, table, write_json


def report(
    *,
    users: Annotated[
        Path | None, typer.Option(help="JSON lines: user_id, and what is declared of them.")
    ] = None,
    by: Annotated[str, typer.Option(help="Which field of it says the group.")] = "",
    items_by: Annotated[
        str, typer.Option(help="Groups of items: category, or an attribute's name.")
    ] = "category",
    report: Annotated[Path | None, typer.Option(help="Write the whole report here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Whether groups are served alike: how often replies are accepted, and who is listed, where.

    Reads all lists, replies and thumbs that Kafka keeps. A group differs (*) where the 95 %
    interval of its acceptance to all others does not hold 0 and both sides have 30 thumbs. Exposure
    weighs a place by 1 / log2(1 + place); 1.0 of what is expected is a group's share of the
    catalogue, or of those who were given a list.

    \b
    streamrec replies report
    streamrec replies report --users people.jsonl --by age --items-by country --report bias.json
    """
    from streamrec.apps import clients, identities, reply_report

    settings = clients.located()
    identities.check_pseudonyms(settings)
    with progress_bar("messages") as advance:
        found = reply_report.run(settings, users, by, items_by, advance)
    if report is not None:
        write_json(report, found)
    if as_json:
        print_json(found)
        return
    for kind in ("users", "items"):
        if found[kind]["groups"]:
            _show(f"{kind} by {found[kind]['by']}", found[kind]["groups"])
    say(f"{found['lists']:,} lists, {found['judged']:,} replies with a thumb")
    say("intervals take thumbs as independent: of few people who give many they are too narrow")


def _show(title: str, groups: list[dict[str, Any]]) -> None:
    rows = [
        [
            row["group"],
            row["counts"]["judged"],
            _bounded(row["acceptance"]),
            _bounded(row["difference"]) + (" *" if row["told_apart"] else ""),
            f"{row['list_share']:.1%}",
            f"{row['exposure_share']:.1%}",
            "-" if row["exposure_ratio"] is None else f"{row['exposure_ratio']:.2f}",
        ]
        for row in groups
    ]
    heads = [
        "group", "thumbs>", "accepted, 95 %>", "to all others>", "listed>", "exposure>",
        "of expected>",
    ]  # fmt: skip
    out.print(table(title, heads, rows))
    out.print()


def _bounded(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "-"
    return f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
