"""What the poison drill saw, its numbers, and the same for people.

By lists judged by the truth, and by the control log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from streamrec.core.events import Recommendation
from streamrec.core.release.registry import Action, ControlRecord, RegistryState
from streamrec.lab.drill.poison_world import SEEN, STUFFED, Attack, hits, honest, likes
from streamrec.lab.drill.report import machine
from streamrec.loop.releasing.guard import ACTOR as GUARD
from streamrec.loop.releasing.guard import CLICK_ACTOR as CLICK_GUARD
from streamrec.loop.releasing.release import CANARY_ACTOR
from streamrec.loop.training.alarm import ACTOR as ALARM

BUCKET_MS = 5_000
BUCKET_LISTS = 10
"""A bucket with fewer lists says nothing."""
PROMISED_ROLLBACK_S = 60.0
PROMISED_RECOVERY = 0.9
"""Part of the quality before that must be back in the end."""
UNATTENDED = frozenset({CLICK_GUARD, GUARD, CANARY_ACTOR})
BOT_ITEM = "chess-0"


class Phase(StrEnum):
    LEARNING = "learning"
    GOOD = "good"
    ATTACK = "attack"
    CALM = "calm"
    FOOLED = "fooled"
    AFTER = "after"

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS = {
    Phase.LEARNING: "honest people only, until lists are good",
    Phase.GOOD: "honest people only",
    Phase.ATTACK: "attackers beside them",
    Phase.CALM: "honest people only, until the alarm has lifted its pin",
    Phase.FOOLED: "a generation upside down is active",
    Phase.AFTER: "honest people only",
}


@dataclass(frozen=True, slots=True)
class JudgedLists:
    """One list of an honest person."""

    at_ms: int
    hits: float  # share of what is seen that is truly liked
    lies: int  # of the seen: the bot's item where it is not liked, the stuffed item


@dataclass(slots=True)
class PoisonObservations:
    """Everything as it happened."""

    attack: Attack
    state: RegistryState = field(default_factory=RegistryState)
    phases: dict[Phase, int] = field(default_factory=dict)  # when each began
    ended_ms: int = 0
    lists: list[JudgedLists] = field(default_factory=list)
    records: list[tuple[int, ControlRecord]] = field(default_factory=list)
    judged_ms: int | None = None  # when the gate last decided on a candidate
    bad: str | None = None
    activated_ms: int | None = None
    undone: tuple[int, ControlRecord] | None = None
    limited_before: int = 0
    limited_after: int = 0

    def begin(self, phase: Phase, now_ms: int) -> None:
        self.phases[phase] = now_ms

    def recommended(self, answer: Recommendation, at_ms: int) -> None:
        if not honest(answer.user_id) or len(answer.items) < SEEN:
            return
        items = [item.item_id for item in answer.items]
        lies = sum(
            item == STUFFED.item_id or (item == BOT_ITEM and not likes(answer.user_id, item))
            for item in items[:SEEN]
        )
        self.lists.append(JudgedLists(at_ms, hits(answer.user_id, items), lies))

    def decided(self, record: ControlRecord, at_ms: int) -> None:
        self.state = record.state
        self.records.append((at_ms, record))
        if record.action in (Action.ACTIVATE, Action.HOLD, Action.REJECT):
            self.judged_ms = at_ms
        if self.bad is None or self.undone is not None:
            return
        if self.activated_ms is None:
            self.activated_ms = at_ms if record.state.champion == self.bad else None
        elif record.state.champion != self.bad:
            self.undone = at_ms, record

    def quality(self, now_ms: int) -> float | None:
        """Of the lists of the last seconds."""
        recent = self._between(now_ms - 2 * BUCKET_MS, now_ms)
        return fmean(one.hits for one in recent) if len(recent) >= BUCKET_LISTS else None

    def line(self, now_ms: int) -> str:
        """How it goes, for somebody who watches."""
        recent = self.quality(now_ms)
        quality = "-" if recent is None else f"{recent:.2f}"
        pinned = f", pinned by {self.state.pin.actor}" if self.state.pin else ""
        return f"{quality} of what honest people see they like; {self.state.champion}{pinned}"

    def _between(self, start_ms: int, end_ms: int) -> list[JudgedLists]:
        return [one for one in self.lists if start_ms <= one.at_ms < end_ms]

    def during(self, phase: Phase) -> list[JudgedLists]:
        """Lists of a phase."""
        return self._between(*self.span(phase))

    def span(self, phase: Phase) -> tuple[int, int]:
        """Begin and end of a phase, ms."""
        begun = self.phases[phase]
        return begun, min((at for at in self.phases.values() if at > begun), default=self.ended_ms)


def report(seen: PoisonObservations) -> dict[str, Any]:
    """JSON-able; ``ok``: every promise was kept."""
    good, after = seen.during(Phase.GOOD), seen.during(Phase.AFTER)
    attack, fooled = seen.during(Phase.ATTACK), seen.during(Phase.FOOLED)
    worst = [_worst(attack), _worst(seen.during(Phase.CALM)), _worst(fooled), _worst(after)]
    known = [value for value in worst if value is not None]
    found: dict[str, Any] = {
        "attack": seen.attack.value,
        "quality": {
            "before": _mean(good),
            "worst": min(known, default=None),
            "after": _mean(after),
            "worst_in_attack": worst[0],
            "worst_when_fooled": worst[2],
        },
        "lies_per_list": {
            "before": _lies(good),
            "worst": max(map(_lies, _buckets(attack)), default=None),
            "after": _lies(after),
        },
        **_decisions(seen),
        **_undoing(seen),
        "lists_judged": len(seen.lists),
        "seconds": {
            phase.value: round((end - begun) / 1000, 1)
            for phase in seen.phases
            for begun, end in (seen.span(phase),)
        },
        "machine": machine(),
    }
    found["promises"] = _promises(found)
    return {"ok": all(found["promises"].values())} | found


def _decisions(seen: PoisonObservations) -> dict[str, Any]:
    """What was decided while the attack went on, and what it took to notice."""
    begun, ended = seen.span(Phase.ATTACK)
    later = [(at, record) for at, record in seen.records if at >= begun]
    pins = [(at, r) for at, r in later if r.action is Action.PIN and r.actor == ALARM]
    lifted = [at for at, r in later if r.action is Action.UNPIN and r.actor == ALARM]
    until = min((at for at in lifted), default=seen.span(Phase.CALM)[1])
    during = [record.action for at, record in later if at < until]
    return {
        "detection_s": round((pins[0][0] - begun) / 1000, 1) if pins else None,
        "noticed": pins[0][1].reason if pins else None,
        "alarm_lifted_after_s": round((lifted[0] - ended) / 1000, 1) if lifted else None,
        "alarms_before": sum(
            r.action is Action.PIN and r.actor == ALARM for at, r in seen.records if at < begun
        ),
        "until_lifted": {
            "activated": during.count(Action.ACTIVATE),
            "rejected_by_gate": during.count(Action.REJECT),
            "held": during.count(Action.HOLD),
            "limited_by_quota": seen.limited_after - seen.limited_before,
        },
    }


def _undoing(seen: PoisonObservations) -> dict[str, Any]:
    """What became of the generation that got past the gate."""
    nothing = {"rolled_back_unattended": 0, "rollback_after_s": None, "undone_by": None}
    if seen.undone is None or seen.activated_ms is None:
        return {"bad_generation": seen.bad, **nothing, "undone_because": None}
    at_ms, record = seen.undone
    unattended = record.action is Action.ROLLBACK and record.actor in UNATTENDED
    return {
        "bad_generation": seen.bad,
        "rolled_back_unattended": int(unattended),
        "rollback_after_s": round((at_ms - seen.activated_ms) / 1000, 1),
        "undone_by": record.actor,
        "undone_because": record.reason,
    }


def _promises(found: Mapping[str, Any]) -> dict[str, bool]:
    quality, after_s = found["quality"], found["rollback_after_s"]
    before, after = quality["before"], quality["after"]
    promises = {
        "the attack was noticed": found["detection_s"] is not None,
        "the bad generation was rolled back unattended": bool(found["rolled_back_unattended"]),
        f"within {PROMISED_ROLLBACK_S:g} s": after_s is not None and after_s <= PROMISED_ROLLBACK_S,
        f"{PROMISED_RECOVERY:.0%} of the quality is back": bool(before and after)
        and after >= PROMISED_RECOVERY * before,
    }
    if found["attack"] == Attack.KEYWORDS:  # a text alone is no traffic
        del promises["the attack was noticed"]
    return promises


def _buckets(lists: Sequence[JudgedLists]) -> list[list[JudgedLists]]:
    found: dict[int, list[JudgedLists]] = {}
    for one in lists:
        found.setdefault(one.at_ms // BUCKET_MS, []).append(one)
    return [bucket for bucket in found.values() if len(bucket) >= BUCKET_LISTS]


def _worst(lists: Sequence[JudgedLists]) -> float | None:
    means = [fmean(one.hits for one in bucket) for bucket in _buckets(lists)]
    return round(min(means), 3) if means else None


def _mean(lists: Sequence[JudgedLists]) -> float | None:
    return round(fmean(one.hits for one in lists), 3) if lists else None


def _lies(lists: Sequence[JudgedLists]) -> float:
    return round(fmean(one.lies for one in lists), 3) if lists else 0.0


def in_words(found: Mapping[str, Any]) -> RenderableType:
    """A table and lines."""
    table = Table(box=None)
    for column in ("", "before", "worst", "after"):
        table.add_column(column, justify="left" if not column else "right")
    for row in _rows(found):
        table.add_row(*row)
    return Group(table, "", *_lines(found))


def markdown(found: Mapping[str, Any]) -> str:
    """The same as Markdown, for ``docs/drills``."""
    rows = [
        "| | before | worst | after |",
        "|---|---:|---:|---:|",
        *("| " + " | ".join(row) + " |" for row in _rows(found)),
        "",
        *(f"- {line}" for line in _lines(found)),
    ]
    return "\n".join(rows) + "\n"


def _rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    quality, lies = found["quality"], found["lies_per_list"]
    return [
        (
            "liked, of what honest people see",
            *(_shown(quality[key]) for key in ("before", "worst", "after")),
        ),
        ("  worst while attacked", "", _shown(quality["worst_in_attack"]), ""),
        ("  worst while the gate was fooled", "", _shown(quality["worst_when_fooled"]), ""),
        (
            "planted items a list, of five seen",
            *(_shown(lies[key]) for key in ("before", "worst", "after")),
        ),
    ]


def _lines(found: Mapping[str, Any]) -> list[str]:
    decided = found["until_lifted"]
    noticed = (
        f"noticed after {found['detection_s']} s ({found['noticed']}); promotion paused"
        if found["detection_s"] is not None
        else "not noticed"
    )
    lines = [
        f"attack {found['attack']}: {noticed}",
        f"until that was over: {decided['activated']} generations activated, "
        f"{decided['rejected_by_gate']} rejected by the gate, {decided['held']} held by the pin, "
        f"{decided['limited_by_quota']} examples limited by quotas",
        f"pin lifted by itself {found['alarm_lifted_after_s']} s after the attack"
        if found["alarm_lifted_after_s"] is not None
        else "the alarm lifted no pin",
        f"{found['bad_generation']}, upside down, past the gate: "
        + (
            f"undone by {found['undone_by']} after {found['rollback_after_s']} s "
            f"({found['undone_because']})"
            if found["undone_by"]
            else "never undone"
        ),
    ]
    lines += [f"BROKEN: {name}" for name, kept in found["promises"].items() if not kept]
    return lines


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
