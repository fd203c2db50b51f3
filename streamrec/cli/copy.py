"""``copy …``: which words items are shown with, how they do, and ending a test of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamrec.cli.console import JsonOption, out, print_json, say, table

if TYPE_CHECKING:
    from streamrec.apps.copy import RunningTest

ItemArgument = Annotated[str, typer.Argument(help="An item's id.", metavar="ITEM")]


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    group = typer.Typer(
        help="Which words items are shown with, and how they do.", no_args_is_help=True
    )
    group.command("list")(list_tests)
    for command in (show, stop, report):
        group.command()(command)
    app.add_typer(group, name="copy", rich_help_panel="Watch")


def list_tests(as_json: JsonOption = False) -> None:
    """List the items that carry variants, the most shown first."""
    from streamrec.apps import clients, copy

    found = copy.running(clients.located())
    if as_json:
        print_json([_fields(one) for one in found])
        return
    rows = [
        [
            one.item.item_id,
            len(one.report.arms),
            sum(arm.views for arm in one.report.arms),
            max(one.report.arms, key=lambda arm: arm.mean).variant_id,
            f"{100 * min(arm.loss for arm in one.report.arms):.3f} %",
            one.report.winner,
        ]
        for one in found
    ]
    heads = ["item", "variants>", "views>", "ahead", "lost by stopping now>", "may stop with"]
    out.print(table(f"{len(found)} items with variants", heads, rows))


def show(item: ItemArgument, *, as_json: JsonOption = False) -> None:
    """Show one item's variants: counts, click rate and its interval, traffic, loss of stopping.

    \b
    streamrec copy show 42
    """
    from streamrec.apps import clients, copy

    found = copy.running_of(clients.located(), item)
    if as_json:
        print_json(_fields(found))
        return
    titles = {one.variant_id: one.title for one in found.item.variants}
    rows = [
        [
            arm.variant_id,
            titles[arm.variant_id],
            arm.views,
            arm.clicks,
            f"{100 * arm.mean:.2f} %",
            f"{100 * arm.low:.2f} to {100 * arm.high:.2f} %",
            f"{100 * arm.share:.0f} %",
            f"{100 * arm.loss:.3f} %",
        ]
        for arm in found.report.arms
    ]
    heads = ["variant", "title", "views>", "clicks>", "rate>", "95 %>", "traffic>", "loss>"]
    out.print(table(item, heads, rows))
    winner = found.report.winner
    out.print(f"may stop: with {winner}" if winner else "may stop: not yet")


def stop(
    item: ItemArgument,
    *,
    winner: Annotated[str, typer.Option(help="The variant whose words stay.")],
) -> None:
    """End a test: the item is published with the winner's words, and without variants.

    \b
    streamrec copy stop 42 --winner b
    """
    from streamrec.apps import clients, copy

    ended = copy.stop(clients.located(), item, winner)
    say(f"{item} is shown as {ended.title!r} from now on")


def report() -> None:
    """Print every test as JSON."""
    list_tests(as_json=True)


def _fields(one: RunningTest) -> dict[str, Any]:
    return {
        "item_id": one.item.item_id,
        "may_stop_with": one.report.winner,
        "variants": [arm._asdict() for arm in one.report.arms],
    }
