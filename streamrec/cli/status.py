"""``status``: lag, rates, who serves what, how fresh it is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from streamrec.cli import live_view
from streamrec.cli.console import JsonOption, ago, out, print_json, table, words

if TYPE_CHECKING:
    from streamrec.apps.status import ChampionStatus, LoopSnapshot, Observer, TaskSnapshot
    from streamrec.infra.stores.redis_memory import StateMemory
    from streamrec.ports import WorkerStatus

UNATTENDED = ("alarm", "canary", "click-guard", "guard")
"""Actors whose last word in the control log an operator wants to see first."""

FEATURES = "features"
"""The role of the workers that make the examples of every task."""

SECONDS_PER_DAY = 86_400
BETWEEN_S = 1.0
"""Rates are taken between two looks this far apart."""


def register(app: typer.Typer) -> None:
    """Add this command to ``app``."""
    app.command(rich_help_panel="Watch")(status)


def status(
    *,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Until Ctrl-C.")] = False,
) -> None:
    """Show lag and rates by topic, what each worker does, and how fresh the champion is.

    Lag: messages of a topic that its readers have not dealt with. Rates are taken over one
    second.

    \b
    streamrec status
    streamrec status --watch
    streamrec status --json | jq '.topics[] | select(.topic == "events") | .lag'
    """
    from streamrec.apps import clients, status_fields
    from streamrec.apps.status import Observer

    with Observer(clients.located()) as observer:
        if watch:
            _watch(observer, as_json)
        before = observer.look()
        time.sleep(BETWEEN_S)
        after = observer.look()
    if as_json:
        print_json(status_fields.fields(before, after))
    else:
        out.print(picture(before, after))


def _watch(observer: Observer, as_json: bool) -> NoReturn:
    from streamrec.apps import status_fields

    before = observer.look()
    with Live(console=out, auto_refresh=False) as live:
        while True:
            time.sleep(BETWEEN_S)
            after = observer.look()
            if as_json:
                print_json(status_fields.fields(before, after), one_line=True)
            else:
                live.update(picture(before, after), refresh=True)
            before = after


def picture(before: LoopSnapshot, after: LoopSnapshot) -> RenderableType:
    """A look for people; rates from the look before."""
    from streamrec.apps.status_fields import rates_between
    from streamrec.cli import clocks_view

    rates, now_ms = rates_between(before, after), after.at_ms
    flows = [
        (flow.topic, flow.written, f"{rates[flow.topic]:.1f}", flow.lag) for flow in after.flows
    ]
    several = len(after.tasks) > 1
    return Group(
        *(Text(f"Redis at {trouble}", "bold red") for trouble in after.stopped),
        table("", ["topic", "messages>", "per second>", "lag>"], flows),
        *_held_lines(after),
        *_waiting_lines(after),
        *_memory_lines(after),
        Text(),
        *clocks_view.clocks_table(after.workers, now_ms),
        _workers(after.workers, now_ms, several=several),
        Text(),
        *_fresh_lines(after.workers),
        *(line for one in after.tasks for line in _task_lines(one, now_ms, several=several)),
    )


def _fresh_lines(workers: Sequence[WorkerStatus]) -> list[Text]:
    """What an event's way to the generation that answers was made of, at the last activation."""
    from streamrec.core.measures.freshness import PARTS, parts_in_words
    from streamrec.ports import FRESH

    lines = []
    for worker in workers:
        told = ((part, worker.gauges.get(FRESH + part)) for part in PARTS)
        if parts := [(part, took_s) for part, took_s in told if took_s is not None]:
            whole_s = sum(took_s for _, took_s in parts)
            said = f"{worker.worker_id}: event to active generation {whole_s:.1f} s"
            lines.append(words(f"{said}: {parts_in_words(parts)}"))
    return lines


def _memory_lines(look: LoopSnapshot) -> list[Text]:
    """What Redis holds, of how many users, and when it is full."""
    held = look.memory
    if held is None:
        return []
    limit = f" of {megabytes(held.limit_bytes)}" if held.limit_bytes else ""
    whose = " (maxmemory)" if held.limit_is_set else " (the machine's: maxmemory is not set)"
    full = _full_line(held)
    text = f"Redis: {megabytes(held.used_bytes)}{limit}{whose}; {held.users:,} users"
    return [Text(f"{text}, {held.user_bytes:,} bytes each; {full}")]


def _full_line(held: StateMemory) -> str:
    if held.growth is None:
        return "how fast it grows is known five minutes after a feature worker started"
    over = f"in the last {ago(held.over_s * 1_000)}"
    if held.full_in_s is None:
        return f"it has not grown {over}"
    days = held.full_in_s / SECONDS_PER_DAY
    when = f"{days:,.0f} days" if days >= 2 else f"{days * 24:,.1f} hours"
    return f"full in {when} at the rate {over}"


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _held_lines(look: LoopSnapshot) -> list[Text]:
    """A transaction that is never ended holds back everybody behind it."""
    return [
        Text(
            f"{flow.topic}: {flow.held:,} messages wait for the end of a transaction "
            "(`kafka-transactions.sh find-hanging` names one that its producer has left open)"
        )
        for flow in look.flows
        if flow.held
    ]


def _waiting_lines(look: LoopSnapshot) -> list[Text]:
    misfit = [Text(look.misfit, style="bold red")] if look.misfit else []
    return misfit + [
        Text(
            f"{one.source} waits at {one.position}: {one.on.why}; `streamrec state continue`",
            style="bold red",
        )
        for one in look.waiting
    ]


def _workers(workers: Sequence[WorkerStatus], now_ms: int, *, several: bool) -> RenderableType:
    """``several``: tasks, so that a worker's has to be said."""
    if not workers:
        return words("no worker is alive")
    rows = [
        (
            worker.worker_id,
            *([worker.task if worker.role != FEATURES else None] if several else []),
            worker.active,
            worker.staged,
            ago(now_ms - worker.started_at_ms),
            ago(now_ms - worker.beat_at_ms),
            _gauges(worker),
        )
        for worker in workers
    ]
    task = ["task"] if several else []
    return table("", ["worker", *task, "active", "staged", "up>", "heard>", ""], rows)


def _task_lines(one: TaskSnapshot, now_ms: int, *, several: bool) -> list[Text]:
    """The champion, the canary, and what was done to them while nobody looked."""
    champion = one.champion
    lines = [_champion_line(champion, now_ms)]
    if champion is not None:
        record = champion.record
        canary = live_view.canary_line(record.state, one.live, now_ms)
        lines += [canary] if canary else []
        if record.actor in UNATTENDED:
            when = ago(now_ms - record.at_ms)
            lines.append(words(f"{record.action} by {record.actor} {when} ago: {record.reason}"))
    return [words(f"{one.task}: ").append(line) for line in lines] if several else lines


def _champion_line(champion: ChampionStatus | None, now_ms: int) -> Text:
    state = champion.record.state if champion else None
    if champion is None or state is None or state.champion is None:
        return words("no champion yet")
    parts = [f"champion {state.champion}"]
    if champion.created_at_ms is not None:
        parts.append(f"made {ago(now_ms - champion.created_at_ms)} ago")
    if champion.events_not_learned is not None:
        parts.append(f"{champion.events_not_learned:,} applied events not learned yet")
    if champion.settings_changed:
        said = "; ".join(champion.settings_changed)
        parts.append(f"made with {said}: it answers until the new shape is as good")
    if pin := state.pin:
        parts.append(f"pinned by {pin.actor} ({pin.reason or 'no reason given'})")
    return words(", ".join(parts))


def _gauges(worker: WorkerStatus) -> str:
    """What a worker measures of itself, short; what is zero is left out."""
    told = {name: value for name, value in worker.gauges.items() if "/" not in name and value}
    return ", ".join(_gauge(name, value) for name, value in told.items())


def _gauge(name: str, value: float) -> str:
    if name == "watermark_ms":
        return f"event time {datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%d %H:%M:%S}"
    return f"{name.replace('_', ' ')} {round(value, 1):,g}"
