"""``adapters reproduce | diff | log``: where a generation comes from, step by step."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from streamrec.cli import lineage_view as view
from streamrec.cli.console import JsonOption, TaskOption, out, print_json, say, words
from streamrec.core.release.lineage import difference
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import ControlRecord
from streamrec.core.tasks import RANKING

DIFFERS = 3
"""Exit code of ``reproduce`` when the digests are not the same."""

FOLLOW_S = 1.0

GenerationArgument = Annotated[str, typer.Argument(help="As `adapters list` names it.")]


def reproduce(
    generation: GenerationArgument, task: TaskOption = RANKING, as_json: JsonOption = False
) -> None:
    """Train a generation again, from its parent, and compare the digests.

    Runs where the trainer keeps its state directory: it needs the trainer's snapshots, and the
    mini-batches still in Kafka. Settings of the learner are those of the manifest. Exit code 0:
    identical; 3: not, and what differs; 1: an input is gone, and which.

    \b
    streamrec adapters reproduce g000012-1a2b3c4d
    """
    from streamrec.apps import clients
    from streamrec.apps import reproduce as again
    from streamrec.apps.built_in import built_in

    settings = clients.located()
    report = again.run(settings, generation, say, built_in(clients.checked_task(settings, task)))
    if as_json:
        print_json(view.reproduction_fields(report))
    else:
        out.print(view.reproduction(report))
    if not report.made.identical:
        raise typer.Exit(DIFFERS)


def diff(
    before: GenerationArgument,
    after: GenerationArgument,
    task: TaskOption = RANKING,
    as_json: JsonOption = False,
) -> None:
    """What one generation has that another has not: settings, events, gate, weights.

    \b
    streamrec adapters diff g000007-9f8e7d6c g000012-1a2b3c4d
    """
    from streamrec.apps import clients
    from streamrec.models.weight_changes import changes

    settings = clients.located()
    store = clients.registry_store(settings, clients.checked_task(settings, task))
    manifests = {}
    for name in store.generations():
        manifests[name] = Manifest.from_json((store.get(name) / "manifest.json").read_text())
    found = difference(manifests, before, after)
    weights = changes(store.get(before), store.get(after))
    if as_json:
        print_json(asdict(found) | {"weights": weights})
    else:
        out.print(view.difference(found, weights))


def log(
    *,
    task: TaskOption = RANKING,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Everything that was done to the registry, oldest first: when, what, by whom and why.

    Kafka compacts this log: after a long time only the newest steps are left of it.

    \b
    streamrec adapters log
    streamrec adapters log --json --follow
    """
    from streamrec.apps import clients

    settings = clients.located()
    clients.checked_task(settings, task)
    with clients.control_log(settings, task=task) as control:
        records = control.records()
        if as_json:
            _print_lines(records)
        else:
            out.print(view.history(records))
        while follow:
            news = control.poll(FOLLOW_S)
            if news is not None and as_json:
                _print_lines([news])
            elif news is not None:
                out.print(words(view.line(news)), soft_wrap=True)


def _print_lines(records: list[ControlRecord]) -> None:
    for record in records:
        print_json(view.record_fields(record), one_line=True)


COMMANDS = (log, diff, reproduce)
