"""``demo``: see it work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamrec.cli.console import INTERRUPTED, err, out, say, write_json


def register(app: typer.Typer) -> None:
    """Add this command to ``app``."""
    app.command(rich_help_panel="Run")(demo)


def demo(
    *,
    seconds: Annotated[float, typer.Option(min=1, help="How long the stream is played.")] = 120.0,
    rate: Annotated[float, typer.Option(min=1, help="Events a second.")] = 100.0,
    features: Annotated[int, typer.Option(min=1, help="Feature workers.")] = 1,
    serving: Annotated[int, typer.Option(min=1, help="Serving workers.")] = 1,
    gateway: Annotated[bool, typer.Option(help="Whether to answer over HTTP.")] = True,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in this host's browser.")
    ] = False,
    summary: Annotated[Path | None, typer.Option(help="Write the summary here, as JSON.")] = None,
) -> None:
    """Watch a language model learn from clicks while it recommends.

    Fetches MovieLens 100K, starts every server and worker here, plays the ratings through
    Kafka in the order they were given, and shows what the loop makes of them: the hit rate
    of the list that stood on the topic before each click against the most popular films,
    generations as they are trained, judged and swapped in, and a rollback near the end.

    Nothing has to be installed or configured. Everything is stopped at the end.

    \b
    streamrec demo
    streamrec demo --seconds 60 --summary summary.json
    STREAMREC_KAFKA_BOOTSTRAP=kafka:9092 streamrec demo
    """
    from streamrec.apps.local_loop import ProcessCounts
    from streamrec.cli.run import stopped_by_signals
    from streamrec.lab.demo.play import DemoOptions, run_demo
    from streamrec.lab.demo.screen import Screen
    from streamrec.lab.demo.summary import in_words
    from streamrec.settings import load

    processes = ProcessCounts(features, 1, serving, int(gateway), replies=1)
    options = DemoOptions(seconds, rate, processes, open_page)
    with stopped_by_signals():
        found = run_demo(load(), options, Screen(err))
    out.print(in_words(found))
    if summary:
        write_json(summary, found)
        say(f"the same as JSON: {summary}")
    if found["run"]["interrupted"]:
        raise typer.Exit(INTERRUPTED)
