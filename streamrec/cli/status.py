"""``status``: lag, rates, who serves what, how fresh it is."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from streamrec.cli import live_view
from streamrec.cli.console import JsonOption, ago, out, print_json, table

if TYPE_CHECKING:
    from streamrec.apps.status import ChampionStatus, LoopSnapshot, Observer
    from streamrec.ports import WorkerStatus

UNATTENDED = ("alarm", "canary", "click-guard", "guard")
"""Actors whose last word in the control log an operator wants to see first."""

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
    from streamrec.apps import clients
    from streamrec.apps.status import Observer

    with Observer(clients.located()) as observer:
        if watch:
            _watch(observer, as_json)
        before = observer.look()
        time.sleep(BETWEEN_S)
        after = observer.look()
    if as_json:
        print_json(fields(before, after))
    else:
        out.print(picture(before, after))


def _watch(observer: Observer, as_json: bool) -> NoReturn:
    before = observer.look()
    with Live(console=out, auto_refresh=False) as live:
        while True:
            time.sleep(BETWEEN_S)
            after = observer.look()
            if as_json:
                print_json(fields(before, after), one_line=True)
            else:
                live.update(picture(before, after), refresh=True)
            before = after


def fields(before: LoopSnapshot, after: LoopSnapshot) -> dict[str, Any]:
    """A look as JSON fields; rates from the look before."""
    rates = _rates(before, after)
    champion = after.champion
    return {
        "at_ms": after.at_ms,
        "topics": [
            {
                "topic": flow.topic,
                "written": flow.written,
                "read": flow.read,
                "lag": flow.lag,
                "per_second": rates[flow.topic],
            }
            for flow in after.flows
        ],
        "champion": None
        if champion is None
        else {
            "generation": champion.record.state.champion,
            "staged": champion.record.state.staged,
            "pinned": champion.record.state.pin is not None,
            "pin": champion.record.state.pin and asdict(champion.record.state.pin),
            "canary": champion.record.state.canary and asdict(champion.record.state.canary),
            "revision": champion.record.state.revision,
            "created_at_ms": champion.created_at_ms,
            "events_not_learned": champion.events_not_learned,
        },
        "live": after.live and after.live.to_record(),
        "workers": [_worker_fields(worker) for worker in after.workers],
    }


def _worker_fields(worker: WorkerStatus) -> dict[str, Any]:
    return {
        "worker_id": worker.worker_id,
        "role": worker.role,
        "host": worker.host,
        "pid": worker.pid,
        "started_at_ms": worker.started_at_ms,
        "beat_at_ms": worker.beat_at_ms,
        "active": worker.active,
        "staged": worker.staged,
        "canary": worker.canary,
        "refused": dict(worker.refused),
        "revision": worker.revision,
        "gauges": dict(worker.gauges),
        "levels": dict(worker.levels),
    }


def picture(before: LoopSnapshot, after: LoopSnapshot) -> RenderableType:
    """The same for people."""
    rates = _rates(before, after)
    flows = [
        (flow.topic, flow.written, f"{rates[flow.topic]:.1f}", flow.lag) for flow in after.flows
    ]
    workers = [
        (
            worker.worker_id,
            worker.active,
            worker.staged,
            ago(after.at_ms - worker.started_at_ms),
            ago(after.at_ms - worker.beat_at_ms),
            _gauges(worker),
        )
        for worker in after.workers
    ]
    columns = ["worker", "active", "staged", "up>", "heard>", ""]
    return Group(
        table("", ["topic", "messages>", "per second>", "lag>"], flows),
        Text(),
        table("", columns, workers) if workers else Text("no worker is alive"),
        Text(),
        _champion_line(after.champion, after.at_ms),
        *_canary_lines(after),
    )


def _canary_lines(after: LoopSnapshot) -> list[Text]:
    if after.champion is None:
        return []
    record = after.champion.record
    lines = [live_view.canary_line(record.state, after.live, after.at_ms)]
    if record.actor in UNATTENDED:
        when = ago(after.at_ms - record.at_ms)
        lines.append(Text(f"{record.action} by {record.actor} {when} ago: {record.reason}"))
    return [line for line in lines if line is not None]


def _champion_line(champion: ChampionStatus | None, now_ms: int) -> Text:
    if champion is None or champion.record.state.champion is None:
        return Text("no champion yet")
    parts = [f"champion {champion.record.state.champion}"]
    if champion.created_at_ms is not None:
        parts.append(f"made {ago(now_ms - champion.created_at_ms)} ago")
    if champion.events_not_learned is not None:
        parts.append(f"{champion.events_not_learned:,} applied events not learned yet")
    pin = champion.record.state.pin
    if pin:
        parts.append(f"pinned by {pin.actor} ({pin.reason or 'no reason given'})")
    return Text(", ".join(parts))


def _gauges(worker: WorkerStatus) -> str:
    """What a worker measures of itself, short; what is zero is left out."""
    return ", ".join(_gauge(name, value) for name, value in worker.gauges.items() if value)


def _gauge(name: str, value: float) -> str:
    if name == "watermark_ms":
        return f"event time {datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%d %H:%M:%S}"
    return f"{name.replace('_', ' ')} {round(value, 1):,g}"


def _rates(before: LoopSnapshot, after: LoopSnapshot) -> dict[str, float]:
    seconds = max(1e-3, (after.at_ms - before.at_ms) / 1000)
    earlier = {flow.topic: flow.written for flow in before.flows}
    return {
        flow.topic: round((flow.written - earlier[flow.topic]) / seconds, 1) for flow in after.flows
    }
