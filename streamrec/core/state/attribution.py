"""Which accepted event belongs to which view.

Knows impressions (views sharing an ``impression_id``) and single views. When they close says
``core.state.deadlines``.

An impression closes when the partition's clock passes its first view + the window, or
when the user has ``OPEN_IMPRESSIONS`` newer ones. It does not close at the next impression
already: pages show several lists at once. A single view closes at the deadline (label 0),
or at once when its item is accepted (label 1) or disliked (label 0). A click that names an
impression which has closed comes too late to be learned (docs/adr/0038).

Within the window the order of a view and its click does not matter (docs/adr/0097): a click waits
in its impression for the view, and a view finds what was just done with its item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from streamrec.core.events import Interaction
from streamrec.core.state.event_clock import STEP_MS
from streamrec.core.state.user_state import (
    DECIDED,
    Decided,
    Pending,
    Shown,
    UserState,
    words,
)

OPEN_IMPRESSIONS = 4
OPEN_VIEWS = 32
SHOWN = 300
"""Items of one impression that are remembered; later ones only count in statistics."""


class Attribution(NamedTuple):
    """What an event did to a user's pendings: the state after it, the pending it belongs to.

    ``logs``: what needs features. ``pushed``: out by it.
    """

    state: UserState
    pending: Pending
    logs: Shown | None = None
    pushed: Sequence[Pending] = ()


def show(
    state: UserState, event: Interaction, watermark_ms: int, user_U: tuple[float, ...]
) -> Attribution:
    """A view: open a pending or join the one it belongs to.

    ``state`` and ``user_U`` are those before the view. A late view waits as long as a timely
    one: its window starts at the watermark.
    """
    shown = Shown(event.item_id)
    opened = _new(state, event, watermark_ms, user_U, shown=(shown,))
    existing = find(state, opened.key)
    if existing is None:
        return _open(state, opened, shown)
    clicked = _named(existing.early, event.item_id)
    if _named(existing.shown, event.item_id) or (_full(existing) and not clicked):
        return Attribution(state, existing)
    if clicked is None:
        joined = replace(existing, shown=(*existing.shown, shown))
        return Attribution(_swap(state, existing, joined), joined, shown)
    joined = replace(
        existing,
        shown=(*existing.shown, clicked),  # its features are those before the click
        accepted=(*existing.accepted, event.item_id),
        early=tuple(e for e in existing.early if e is not clicked),
    )
    return Attribution(_swap(state, existing, joined), joined)


def wait(
    state: UserState, event: Interaction, watermark_ms: int, user_U: tuple[float, ...]
) -> Attribution:
    """An accepted item of an impression that was not shown yet: it waits for its view there."""
    clicked = Shown(event.item_id)
    opened = _new(state, event, watermark_ms, user_U, early=(clicked,))
    existing = find(state, opened.key)
    if existing is None:
        return _open(state, opened, clicked)
    if _named(existing.early, event.item_id) or _full(existing):
        return Attribution(state, existing)
    joined = replace(existing, early=(*existing.early, clicked))
    return Attribution(_swap(state, existing, joined), joined, clicked)


def unasked(
    state: UserState, event: Interaction, user_U: tuple[float, ...], shown: Shown
) -> Pending:
    """An outcome that nobody was seen to be shown: its item, closed at once."""
    return Pending(
        impression_id=None,
        opened_at_ms=event.occurred_at_ms,
        history=state.history,
        user_U=user_U,
        shown=(shown,),
        accepted=(event.item_id,) if event.accepted else (),
        query=led_by(state, event),
    )


def led_by(state: UserState, event: Interaction) -> str:
    """The words that led to an event: its own, or those of a search shortly before; "" else."""
    return words(event.query) or state.asked(event.occurred_at_ms)


def _new(
    state: UserState,
    event: Interaction,
    watermark_ms: int,
    user_U: tuple[float, ...],
    *,
    shown: tuple[Shown, ...] = (),
    early: tuple[Shown, ...] = (),
) -> Pending:
    at_ms = max(event.occurred_at_ms, watermark_ms)
    return Pending(
        impression_id=event.impression_id,
        opened_at_ms=at_ms,
        history=state.history,
        user_U=user_U,
        shown=shown,
        early=early,
        clock_ms=watermark_ms if at_ms > watermark_ms + STEP_MS else 0,
        query=led_by(state, event),
    )


def _open(state: UserState, opened: Pending, logs: Shown) -> Attribution:
    single = opened.impression_id is None
    alike = [p for p in state.pending if (p.impression_id is None) == single]
    limit = OPEN_VIEWS if single else OPEN_IMPRESSIONS
    pushed = alike[: max(0, len(alike) + 1 - limit)]
    state = state.without(pushed)
    state = state.but(pending=(*state.pending, opened))
    return Attribution(state, opened, logs, pushed)


def _named(shown: Sequence[Shown], item_id: str) -> Shown | None:
    return next((s for s in shown if s.item_id == item_id), None)


def _full(pending: Pending) -> bool:
    return len(pending.shown) + len(pending.early) >= SHOWN


def find(state: UserState, key: str) -> Pending | None:
    return next((p for p in state.pending if p.key == key), None)


def attribute(state: UserState, event: Interaction) -> tuple[UserState, bool, Pending | None]:
    """An outcome (anything but a view): label the pending it belongs to.

    Returns the new state, whether a view of it was found, and the single view it closed.
    """
    if event.impression_id is not None:
        pending = find(state, "i" + event.impression_id)
        if pending is None or all(s.item_id != event.item_id for s in pending.shown):
            return state, False, None
        if not event.accepted or event.item_id in pending.accepted:
            return state, True, None
        labelled = replace(
            pending,
            accepted=(*pending.accepted, event.item_id),
            query=pending.query or words(event.query),
        )
        return _swap(state, pending, labelled), True, None
    pending = find(state, "v" + event.item_id)
    if pending is None:
        return state, False, None
    closed = replace(pending, accepted=(event.item_id,)) if event.accepted else pending
    return state.without([pending]), True, closed


def too_late(state: UserState, event: Interaction) -> bool:
    """Whether an event names an impression that was shown and is no longer open."""
    return event.impression_id in state.closed


def just_decided(
    state: UserState, event: Interaction, watermark_ms: int, window_ms: int
) -> Decided | None:
    """What the user has done with the item, outside any impression, within the window."""
    if event.impression_id is not None:
        return None
    found = (d for d in state.decided if d.shown.item_id == event.item_id)
    return next((d for d in found if watermark_ms < d.at_ms + window_ms), None)


def decide(state: UserState, one: Decided, watermark_ms: int, window_ms: int) -> UserState:
    """Remember it instead of what was known of the item, and forget what is over."""
    kept = [
        d
        for d in state.decided
        if d.shown.item_id != one.shown.item_id and watermark_ms < d.at_ms + window_ms
    ]
    return state.but(decided=(*kept, one)[-DECIDED:])


def seen_after(state: UserState, one: Decided) -> tuple[UserState, Pending]:
    """The view of an accepted item has come: the state, and the pending it would have been."""
    seen = replace(one, unseen=False)
    before = len(state.history) - (state.accepts - one.accepts)
    pending = Pending(
        impression_id=None,
        opened_at_ms=one.at_ms,
        history=state.history[: max(0, before)],
        user_U=(),
        shown=(one.shown,),
        accepted=(one.shown.item_id,),
    )
    return state.but(decided=tuple(seen if d is one else d for d in state.decided)), pending


def _swap(state: UserState, old: Pending, new: Pending) -> UserState:
    return state.but(pending=tuple(new if p is old else p for p in state.pending))
