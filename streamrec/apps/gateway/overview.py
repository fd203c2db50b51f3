"""What the page shows: how the loop does, and what became of its generations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from streamrec.apps.gateway.context import Context
from streamrec.apps.gateway.roles import Reader
from streamrec.apps.release_fields import fates
from streamrec.core.access import check_unbound
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import ControlRecord
from streamrec.infra.http.problems import responses

GENERATIONS = 60
"""The newest that are told of; `/v1/admin/generations` has all."""
RECORDS = 100

router = APIRouter(tags=["overview"])


class Tail(BaseModel):
    """The middle and the tail; None: nothing to measure."""

    p50: float | None
    p95: float | None


class Measures(BaseModel):
    """Of some time. Hit rate: ``hits`` of ``clicks``; of the most popular: ``popular_hits``."""

    events_per_s: float
    lists_per_s: float
    latency_ms: Tail = Field(description="from an event to the list made because of it")
    freshness_s: Tail = Field(description="from a click to a generation that has learned it")
    clicks: int = Field(description="that came after a list of the same user")
    hits: int = Field(description="of them, on one of the first ten items of that list")
    popular_hits: int = Field(description="of them, on one of the ten most clicked items")


class MeasuredStep(Measures):
    at_ms: int


class Caller(BaseModel):
    name: str
    roles: list[str]


class Overview(BaseModel):
    """How the loop does."""

    at_ms: int
    caller: Caller
    status: dict[str, Any] | None = Field(description="as `streamrec status --json` prints it")
    problem: str = Field(description="why the status may be old; empty: it is not")
    sampled: float = Field(description="share of the users whose events are measured")
    now: Measures = Field(description="of the last minute")
    series: list[MeasuredStep] = Field(description="five seconds each, the oldest first")


class GateNumber(BaseModel):
    """One number of a gate: more ``difference`` is better."""

    candidate: float | None
    champion: float | None
    difference: float | None
    standard_error: float | None
    n: int


class Gate(BaseModel):
    accepted: bool
    reasons: list[str]
    examples: int
    champion: str
    metrics: dict[str, GateNumber]


class GenerationTold(BaseModel):
    """One generation; without a parent: its manifest cannot be read, or it is the first."""

    generation: str
    state: str
    parent: str | None
    created_at_ms: int | None
    events: int | None = Field(description="it learned from since its parent")
    gate: Gate | None


class StepTold(BaseModel):
    """One step of the control log."""

    action: str
    actor: str
    reason: str
    at_ms: int
    revision: int
    generation: str | None
    champion: str | None


class GenerationsTold(BaseModel):
    """The newest generations and steps, newest first."""

    champion: str | None
    previous: str | None = Field(description="where a rollback goes")
    staged: str | None
    revision: int
    pin: dict[str, Any] | None
    canary: dict[str, Any] | None
    generations: list[GenerationTold]
    log: list[StepTold]


@router.get("/v1/overview", responses=responses())
def overview(context: Context, caller: Reader) -> Overview:
    """Rates, latency, freshness, hit rate beside popularity, and the status of every part."""
    check_unbound(caller, "the overview")
    view = context.view
    status = view.status()
    now, series = view.measures()
    return Overview(
        at_ms=context.clock.now_ms(),
        caller=Caller(name=caller.name, roles=sorted(caller.roles)),
        status=status,
        problem=view.problem,
        sampled=view.sampled,
        now=Measures(**now),
        series=[MeasuredStep(**one) for one in series],
    )


@router.get("/v1/generations", responses=responses())
def generations(context: Context, caller: Reader) -> GenerationsTold:
    """Generations with their gates' numbers, and who did what to them."""
    check_unbound(caller, "the generations")
    view = context.view
    state, records = view.state(), view.records()
    known = fates(state, records)
    newest = sorted(known, reverse=True)[:GENERATIONS]
    return GenerationsTold(
        champion=state.champion,
        previous=state.previous,
        staged=state.staged,
        revision=state.revision,
        pin=asdict(state.pin) if state.pin else None,
        canary=asdict(state.canary) if state.canary else None,
        generations=[_told(name, known[name], view.manifest(name)) for name in newest],
        log=[_step(record) for record in reversed(records[-RECORDS:])],
    )


def _told(name: str, fate: str, manifest: Manifest | None) -> GenerationTold:
    if manifest is None:
        return GenerationTold(
            generation=name, state=fate, parent=None, created_at_ms=None, events=None, gate=None
        )
    return GenerationTold(
        generation=name,
        state=fate,
        parent=manifest.parent,
        created_at_ms=manifest.created_at_ms,
        events=sum(to - start for start, to in manifest.offsets.values()),
        gate=_gate(manifest.gate) if manifest.gate else None,
    )


def _gate(gate: Mapping[str, Any]) -> Gate:
    metrics = {n: m for n, m in gate["metrics"].items() if "/" not in n}
    return Gate(
        accepted=gate["accepted"],
        reasons=gate["reasons"],
        examples=gate["examples"],
        champion=gate["champion"],
        metrics={name: GateNumber(**_finite(one)) for name, one in metrics.items()},
    )


def _finite(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no infinity."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in numbers.items()
    }


def _step(record: ControlRecord) -> StepTold:
    return StepTold(
        action=record.action.value,
        actor=record.actor,
        reason=record.reason,
        at_ms=record.at_ms,
        revision=record.state.revision,
        generation=record.generation,
        champion=record.state.champion,
    )
