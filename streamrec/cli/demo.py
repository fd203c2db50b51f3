"""``demo``: see it work."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamrec.cli.console import INTERRUPTED, err, out, say, write_json
from streamrec.errors import UserError

if TYPE_CHECKING:
    from streamrec.lab.demo.stage import DemoOptions


class DemoStream(StrEnum):
    """What is played."""

    FILMS = "films"
    HEADLINES = "headlines"


RATES = {DemoStream.FILMS: 100.0, DemoStream.HEADLINES: 1_000.0}


def register(app: typer.Typer) -> None:
    """Add this command to ``app``."""
    app.command(rich_help_panel="Run")(demo)


def demo(
    *,
    stream: Annotated[
        DemoStream, typer.Option(help="films: what to rank. headlines: which words to show.")
    ] = DemoStream.FILMS,
    data: Annotated[
        Path | None, typer.Option(help="Headlines: recorded tests, instead of the archive's.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="How long the stream is played.")] = 120.0,
    rate: Annotated[
        float, typer.Option(min=0, help="Events a second, at most; 0: 100, of headlines 1,000.")
    ] = 0.0,
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

    Headlines: recorded tests (of the Upworthy Research Archive, or --data) are played to people
    who click at the recorded rates; it shows clicks over showing all headlines equally, and
    which part of that the model's prior has.

    Nothing has to be installed or configured. Everything is stopped at the end.

    \b
    streamrec demo
    streamrec demo --seconds 60 --summary summary.json
    streamrec demo --stream headlines --data tests.jsonl
    STREAMREC_KAFKA_BOOTSTRAP=kafka:9092 streamrec demo
    """
    from streamrec.apps.local_loop import ProcessCounts
    from streamrec.cli.run import stopped_by_signals
    from streamrec.lab.demo.stage import DemoOptions

    if data is not None and stream is not DemoStream.HEADLINES:
        raise UserError("--data is for --stream headlines")
    films = stream is DemoStream.FILMS
    processes = ProcessCounts(
        features, 1, serving, int(gateway), replies=int(films), copy_trainer=int(not films)
    )
    options = DemoOptions(seconds, rate or RATES[stream], processes, open_page)
    with stopped_by_signals():
        found = _films(options) if films else _headlines(options, data)
    if summary:
        write_json(summary, found)
        say(f"the same as JSON: {summary}")
    if found["run"]["interrupted"]:
        raise typer.Exit(INTERRUPTED)


def _films(options: DemoOptions) -> dict[str, Any]:
    from streamrec.lab.demo.play import run_demo
    from streamrec.lab.demo.screen import Screen
    from streamrec.lab.demo.summary import in_words
    from streamrec.settings import load

    found = run_demo(load(), options, Screen(err))
    out.print(in_words(found))
    return found


def _headlines(options: DemoOptions, data: Path | None) -> dict[str, Any]:
    from streamrec.lab.demo.headline_panel import headlines_in_words
    from streamrec.lab.demo.play import run_headlines
    from streamrec.lab.demo.screen import Screen
    from streamrec.settings import load

    found = run_headlines(load(), options, Screen(err), data)
    out.print(headlines_in_words(found))
    return found
