"""``drill``: break it on purpose and see what it cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from streamrec.cli.console import out, say
from streamrec.lab.drill.poison_world import Attack

KILLS_PER_MINUTE = 8


class Broker(StrEnum):
    APACHE = "apache"
    EMBEDDED = "embedded"


def register(app: typer.Typer) -> None:
    """Add this group to ``app``."""
    drill = typer.Typer(
        help="Break a loop on purpose, and see that its promises hold.", no_args_is_help=True
    )
    drill.command("kill")(kill)
    drill.command("swap")(swap)
    drill.command("poison")(poison)
    drill.command("wild")(wild)
    drill.command("soak")(soak)
    app.add_typer(drill, name="drill", rich_help_panel="Watch")


def kill(
    *,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long somebody is killed.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Of the stream, the victims and the moments.")] = 0,
    kills: Annotated[
        int | None, typer.Option(min=1, help=f"How many; default: {KILLS_PER_MINUTE} a minute.")
    ] = None,
    rate: Annotated[float, typer.Option(min=1, help="Messages a second.")] = 40.0,
    kafka: Annotated[
        Broker | None,
        typer.Option(help="Start this broker; default: the configured one, or the embedded."),
    ] = None,
    features: Annotated[int, typer.Option(min=1, help="Feature workers.")] = 2,
    serving: Annotated[int, typer.Option(min=1, help="Serving workers.")] = 2,
    replies: Annotated[
        int, typer.Option(min=0, help="Replies workers; with some, a third of the requests ask.")
    ] = 0,
    report: Annotated[
        Path | None,
        typer.Option(help="Write the numbers here, as JSON; to a name ending in .md as tables."),
    ] = None,
) -> None:
    """SIGKILL workers, Redis and the broker at random; count what was lost or doubled.

    Runs two feature workers, a trainer and two serving workers on a fresh state directory,
    sends a known stream, and kills. In the end user state and statistics must equal a clean
    pass over the logs bit for bit, every example must have been trained exactly once, every
    request answered, every bad message kept; with --replies, every list asked about in words has
    one reply, by templates, which names nothing but its own list. On Apache Kafka the stream comes
    in transactions, one in five of which is taken back first. Exit code 1 when a promise was
    broken.

    \b
    streamrec drill kill --minutes 5 --seed 1
    streamrec drill kill --kafka apache --minutes 30 --kills 200 --report kill.json
    """
    from dataclasses import replace

    from streamrec.apps.local_loop import ProcessCounts
    from streamrec.cli.run import stopped_by_signals
    from streamrec.lab.drill.kill import KillOptions, run_kill_drill
    from streamrec.lab.drill.report import in_words, markdown
    from streamrec.settings import load

    settings = load()
    if kafka is Broker.EMBEDDED:
        settings = replace(settings, kafka=replace(settings.kafka, bootstrap=""))
    options = KillOptions(
        minutes,
        seed,
        kills if kills is not None else max(1, round(minutes * KILLS_PER_MINUTE)),
        rate,
        kafka is Broker.APACHE,
        ProcessCounts(features=features, serving=serving, replies=replies),
    )
    with stopped_by_signals():
        found = run_kill_drill(settings, options, say)
    _tell(found, in_words(found), report, markdown)


def swap(
    *,
    swaps: Annotated[int, typer.Option(min=2, help="Flips; every other one a rollback.")] = 100,
    items: Annotated[int, typer.Option(min=200, help="In the catalogue.")] = 10_000,
    serving: Annotated[int, typer.Option(min=1, help="Serving workers.")] = 2,
    rate: Annotated[float, typer.Option(min=1, help="Messages a second meanwhile.")] = 40.0,
    report: Annotated[Path | None, typer.Option(help="Write the numbers here, as JSON.")] = None,
) -> None:
    """Roll the champion back and forward, again and again; time it, find mixed lists.

    The time of a swap is from the control record to the word of the last serving worker;
    the pause is what one worker measured between two micro-batches. Exit code 1 when a swap
    was not confirmed by all, or a list was made by a generation not active then.

    \b
    streamrec drill swap
    streamrec drill swap --swaps 200 --items 50000 --report swap.json
    """
    from streamrec.apps.local_loop import ProcessCounts
    from streamrec.cli.run import stopped_by_signals
    from streamrec.lab.drill.swap import SwapOptions, in_words, run_swap_drill
    from streamrec.settings import load

    options = SwapOptions(swaps, items, rate, processes=ProcessCounts(features=1, serving=serving))
    with stopped_by_signals():
        found = run_swap_drill(load(), options, say)
    _tell(found, in_words(found), report)


def poison(
    *,
    seed: Annotated[int, typer.Option(help="Of people, tastes and lies.")] = 0,
    attack: Annotated[Attack, typer.Option(help="What the attackers do.")] = Attack.ALL,
    phase_s: Annotated[
        float, typer.Option(min=10, help="How long traffic is good, attacked, good again.")
    ] = 60.0,
    rate: Annotated[float, typer.Option(min=1, help="Visits of honest people a second.")] = 15.0,
    serving: Annotated[int, typer.Option(min=1, help="Serving workers.")] = 1,
    report: Annotated[
        Path | None,
        typer.Option(help="Write the numbers here, as JSON; to a name ending in .md as tables."),
    ] = None,
) -> None:
    """Lie to a loop that learns, and see what the lies do and how long they last.

    People with known tastes use the lists they get. Then a few accounts click at random, bots
    click one item, some people turn and click what they dislike, and an item comes whose text
    is full of keywords: what do quotas, gate and alarm stop? Then a generation that ranks
    upside down gets past the gate: does the loop take it back by itself, and how fast? Lists
    are judged by what people truly like. Exit code 1 when a promise was broken.

    \b
    streamrec drill poison --seed 1
    streamrec drill poison --attack one-item --report poison.md
    """
    from streamrec.apps.local_loop import ProcessCounts
    from streamrec.cli.run import stopped_by_signals
    from streamrec.lab.drill.poison import PoisonOptions, run_poison_drill
    from streamrec.lab.drill.poison_report import in_words, markdown
    from streamrec.settings import load

    options = PoisonOptions(seed, attack, phase_s, rate, processes=ProcessCounts(serving=serving))
    with stopped_by_signals():
        found = run_poison_drill(load(), options, say)
    _tell(found, in_words(found), report, markdown)


def wild(
    *,
    seed: Annotated[int, typer.Option(help="Of the visits and the habits.")] = 0,
    seconds: Annotated[
        float, typer.Option(min=10, help="How long they send; partitions are added half-way.")
    ] = 60.0,
    report: Annotated[Path | None, typer.Option(help="Write the numbers here, as JSON.")] = None,
) -> None:
    """Meet the producers that others wrote; count what was lost, doubled, mislabelled, untold.

    Starts Apache Kafka and the workers on a fresh state directory. A population of producers
    sends the visits of people: in transactions of which one in five is aborted, with a clock
    hours ahead, clicks before the views, a past that is sent again, whole numbers as ids,
    zstd and snappy, a converter's envelopes and keys. Half-way, partitions are added to
    `events`. Users, examples, catalogue and dead letters must be what the visits mean: what
    does not count must have been refused with a reason. Exit code 1 when it is not so.

    \b
    streamrec drill wild --seed 1
    streamrec drill wild --seconds 300 --report wild.json
    """
    from streamrec.cli.run import stopped_by_signals
    from streamrec.lab.drill.wild import WildOptions, run_wild_drill
    from streamrec.lab.drill.wild_report import in_words
    from streamrec.settings import load

    with stopped_by_signals():
        found = run_wild_drill(load(), WildOptions(seed, seconds), say)
    _tell(found, in_words(found), report)


def soak(
    *,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long; a quarter warms up.")] = 60.0,
    rate: Annotated[float, typer.Option(min=1, help="Messages a second.")] = 20.0,
    items: Annotated[int, typer.Option(min=50, help="In the catalogue at any time.")] = 400,
    seed: Annotated[int, typer.Option(help="Of people and what they do.")] = 0,
    features: Annotated[int, typer.Option(min=1, help="Feature workers.")] = 1,
    serving: Annotated[int, typer.Option(min=1, help="Serving workers.")] = 1,
    report: Annotated[
        Path | None,
        typer.Option(help="Write the numbers here, as JSON; to a name ending in .md as tables."),
    ] = None,
) -> None:
    """Steady load while items and people come and go: see that nothing grows.

    Starts servers and workers on a fresh state directory. The oldest item gives way to a new
    one all the time; people come, click and leave, some ask to be forgotten. A day of event time
    passes in a quarter of an hour, so that what is kept for days is let go of too. Memory of
    every process and of Redis, files of the registry, users, latency, freshness and what waits
    are measured all along. After a warm-up (a quarter of the time), the median of a first window
    is compared with that of the last. Exit code 1 when one grew by more than is allowed, a
    worker died, or too little was measured; of each, the report says start, end, what is
    allowed and the slope.

    The longer it lasts, the smaller the leak that it sees; less than half an hour proves little.
    What is bounded and not full yet grows too: activations of texts, up to 256 MB in trainer and
    serving workers, the trainer's replay memory and its snapshots.

    \b
    streamrec drill soak --minutes 60 --report soak.md
    streamrec drill soak --minutes 600 --rate 60 --features 2 --serving 2 --report soak.json
    """
    from streamrec.apps.local_loop import ProcessCounts
    from streamrec.cli.run import stopped_by_signals
    from streamrec.lab.drill.soak import SoakOptions, run_soak_drill
    from streamrec.lab.drill.soak_report import in_words, markdown
    from streamrec.settings import load

    processes = ProcessCounts(features=features, serving=serving)
    options = SoakOptions(minutes, rate, seed, items, processes)
    with stopped_by_signals():
        found = run_soak_drill(load(), options, say)
    _tell(found, in_words(found), report, markdown)


def _tell(
    found: Mapping[str, Any],
    words: Any,
    report: Path | None,
    markdown: Callable[[Any], str] | None = None,
) -> None:
    """On the screen and in a file. Ends with exit code 1 where a promise was broken."""
    out.print(words)
    if report is not None:
        if markdown is not None and report.suffix == ".md":
            report.write_text(markdown(found))
        else:
            report.write_text(json.dumps(found, indent=2) + "\n")
        say(f"the same in a file: {report}")
    if not found["ok"]:
        raise typer.Exit(1)
