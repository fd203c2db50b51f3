"""``adapters …``: which generation answers, and the brake.

Every command here reads or appends to the control log, which all workers obey.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamrec.cli.console import JsonOption, ago, err, out, print_json, say, table
from streamrec.core.registry import ControlRecord, RegistryState
from streamrec.errors import GenerationRefused, UserError

if TYPE_CHECKING:
    from streamrec.ports import RegistryStore
    from streamrec.settings import Settings
    from streamrec.stages.fleet_watch import SwapReport

GenerationArgument = Annotated[str, typer.Argument(help="As `adapters list` names it.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-m", help="Kept in the control log.")]


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    group = typer.Typer(
        help="See, activate and roll back what the model learned.", no_args_is_help=True
    )
    group.command("list")(list_generations)
    for command in (show, activate, rollback, pin, unpin):
        group.command()(command)
    app.add_typer(group, name="adapters", rich_help_panel="Release")


def list_generations(as_json: JsonOption = False) -> None:
    """List generations, newest first, and what became of each.

    \b
    streamrec adapters list
    streamrec adapters list --json | jq -r '.champion'
    """
    from streamrec.bootstrap import clients
    from streamrec.infra.clock import SystemClock

    settings = clients.located()
    store, records = clients.registry_store(settings), _records(settings)
    state = records[-1].state if records else RegistryState()
    fates = _fates(state, records)
    manifests = {name: _manifest(store, name) for name in reversed(store.generations())}
    if as_json:
        print_json(_list_fields(state, manifests, fates))
        return
    now_ms = SystemClock().now_ms()
    rows = [
        (
            name,
            fates.get(name, "candidate"),
            manifest.get("parent"),
            ago(now_ms - manifest.get("created_at_ms", now_ms)),
            _trained_events(manifest),
            _verdict(manifest),
        )
        for name, manifest in manifests.items()
    ]
    columns = ["generation", "state", "parent", "age>", "events>", "gate"]
    out.print(table("", columns, rows) if rows else "no generation yet")
    if state.pin:
        say(f"pinned by {state.pin.actor}: {state.pin.reason or 'no reason given'}")


def show(generation: GenerationArgument, as_json: JsonOption = False) -> None:
    """Show one generation: where it comes from, what it learned from, how it was judged.

    \b
    streamrec adapters show g000012-1a2b3c4d
    """
    from streamrec.bootstrap import clients

    settings = clients.located()
    store = clients.registry_store(settings)
    try:
        manifest = json.loads((store.get(generation) / "manifest.json").read_text())
    except GenerationRefused:
        raise UserError(
            f"{generation} is not in the registry; `streamrec adapters list` names them all"
        ) from None
    records = [record for record in _records(settings) if record.generation == generation]
    if as_json:
        print_json({"manifest": manifest, "log": [_record_fields(record) for record in records]})
        return
    out.print(table(generation, ["", ""], sorted(_flat("", manifest))))
    rows = [(record.action.value, record.actor, record.reason) for record in records]
    if rows:
        out.print(table("control log", ["action", "by", "reason"], rows))


def activate(
    generation: GenerationArgument, *, reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Make a generation the champion, on every serving worker.

    They load it first, then flip together. This lifts a pin.

    \b
    streamrec adapters activate g000012-1a2b3c4d -m "looked at it, it is good"
    """
    from streamrec.bootstrap import clients

    settings = clients.located()
    with clients.release_desk(settings) as desk:
        _tell(desk.activate(generation, reason), "active", as_json)


def rollback(
    *,
    to: Annotated[str, typer.Option(help="A former champion; default: the one before.")] = "",
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Go back to the previous champion, at once, and stay there.

    Returns when every serving worker has confirmed. The trainer goes on learning, but
    activates nothing until `adapters unpin` or `adapters activate`.

    \b
    streamrec adapters rollback -m "odd lists since noon"
    streamrec adapters rollback --to g000007-9f8e7d6c
    """
    from streamrec.bootstrap import clients

    settings = clients.located()
    with clients.release_desk(settings) as desk:
        _tell(desk.rollback(reason, to or None), "rolled back to", as_json)


def pin(*, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Keep the champion: nothing new is activated until `adapters unpin`."""
    from streamrec.bootstrap import clients

    with clients.release_desk(clients.located()) as desk:
        _tell_state(desk.pin(reason), as_json)


def unpin(*, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Let the trainer activate new generations again."""
    from streamrec.bootstrap import clients

    with clients.release_desk(clients.located()) as desk:
        _tell_state(desk.unpin(reason), as_json)


def _records(settings: Settings) -> list[ControlRecord]:
    from streamrec.bootstrap import clients

    with clients.control_log(settings) as control:
        return control.records()


def _fates(state: RegistryState, records: list[ControlRecord]) -> dict[str, str]:
    """What became of each generation that the control log knows."""
    fates = {r.generation: f"{r.action.value}: {r.reason}" for r in records if r.generation}
    fates |= dict.fromkeys(state.history, "former champion")
    fates |= {name: "staged" for name in (state.staged,) if name}
    fates |= {
        name: "champion, pinned" if state.pin else "champion" for name in (state.champion,) if name
    }
    return fates


def _manifest(store: RegistryStore, generation: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads((store.get(generation) / "manifest.json").read_text())
    except (GenerationRefused, ValueError):
        return {}
    return found


def _trained_events(manifest: Mapping[str, Any]) -> int:
    spans: Mapping[str, Any] = manifest.get("offsets") or {}
    return sum(to - start for start, to in spans.values())


def _verdict(manifest: Mapping[str, Any]) -> str:
    gate = manifest.get("gate") or {}
    return str(gate.get("summary") or gate.get("verdict") or "")


def _list_fields(
    state: RegistryState, manifests: Mapping[str, Mapping[str, Any]], fates: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "revision": state.revision,
        "champion": state.champion,
        "previous": state.previous,
        "staged": state.staged,
        "pinned": state.pin is not None,
        "generations": [
            {"generation": name, "state": fates.get(name, "candidate"), "manifest": manifest}
            for name, manifest in manifests.items()
        ],
    }


def _record_fields(record: ControlRecord) -> dict[str, Any]:
    return {
        "action": record.action.value,
        "actor": record.actor,
        "reason": record.reason,
        "at_ms": record.at_ms,
        "revision": record.state.revision,
    }


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    """Nested JSON as dotted names, for reading."""
    if not isinstance(value, Mapping):
        return [(prefix, value if isinstance(value, str) else json.dumps(value))]
    return [
        row
        for name, inner in value.items()
        for row in _flat(f"{prefix}.{name}" if prefix else str(name), inner)
    ]


def _tell(report: SwapReport, verb: str, as_json: bool) -> None:
    """Who confirmed; exit code 1 when somebody did not."""
    if as_json:
        print_json(
            {
                "generation": report.generation,
                "revision": report.revision,
                "confirmed_ms": dict(report.confirmed_ms),
                "refused": dict(report.refused),
                "silent": list(report.silent),
                "problem": report.problem,
            }
        )
    else:
        _tell_person(report, verb)
    if not report.complete:
        raise typer.Exit(1)


def _tell_person(report: SwapReport, verb: str) -> None:
    confirmed = len(report.confirmed_ms)
    if not report.complete:
        err.print(f"{verb} {report.generation}, but not everywhere:", markup=False)
        for worker, why in report.refused.items():
            say(f"  {worker} refuses it and keeps what it has: {why}")
        for worker in report.silent:
            say(f"  {worker} has not confirmed; `streamrec status` tells when it does")
        if report.problem:
            say(f"  who has confirmed is not known: {report.problem}")
    elif confirmed:
        out.print(
            f"{verb} {report.generation}; confirmed by all {confirmed} serving workers "
            f"after {report.took_ms} ms",
            markup=False,
        )
    else:
        out.print(
            f"{verb} {report.generation}; no serving worker is up, the next ones will obey",
            markup=False,
        )


def _tell_state(state: RegistryState, as_json: bool) -> None:
    if as_json:
        print_json({"champion": state.champion, "pinned": state.pin is not None})
    elif state.pin:
        out.print(f"{state.champion} is pinned", markup=False)
    else:
        out.print("unpinned; the next good candidate is activated", markup=False)
