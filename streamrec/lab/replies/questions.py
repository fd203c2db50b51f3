"""What people ask in a replay of replies: who, what they had, a list, a query; of a real stream.

Knows a recorded stream. Lists are drawn from what was popular then, not made by the ranking: here
replies are judged, not lists. The order of the questions is that of the stream.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamrec.core.events import Interaction, Item
from streamrec.core.examples import FloatArray
from streamrec.core.replies.context import CONTEXT, context_of

LISTED, HISTORY, HAD = 3, 2, 5
"""Items of a list; of a history, that a prompt shows; that somebody must have had to be asked."""
RECENT = 400
QUERIES = (
    "what should I take next?",
    "something for tonight",
    "any good {kind}?",
    "a {kind} please",
    "surprise me",
    "{kind}, not too heavy",
    "I liked the last one, what now?",
)


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """``varied``: of the half of people whose history is of more kinds."""

    user_id: str
    query: str
    listed: tuple[Item, ...]
    history: tuple[Item, ...]
    context_C: FloatArray
    varied: bool


def questions(
    items: Sequence[Item], events: Sequence[Interaction], number: int, seed: int
) -> list[Question]:
    """So many, drawn from the stream and in its order. Raises ValueError: too few, or too few items
    to make a list of."""
    catalogue = {item.item_id: item for item in items}
    drawn = random.Random(f"questions {seed}")  # noqa: S311 - a simulation
    places = _moments(events, catalogue)
    if len(places) < number:
        raise ValueError(f"{len(places)} moments of people with {HAD} items, {number} are needed")
    chosen = sorted(drawn.sample(range(len(places)), number))
    found = [_question(places[at], events, catalogue, drawn) for at in chosen]
    variety_N = np.array([one.context_C[CONTEXT.index("variety")] for one in found])
    middle = float(np.median(variety_N))
    return [
        Question(q.user_id, q.query, q.listed, q.history, q.context_C, bool(v > middle))
        for q, v in zip(found, variety_N, strict=True)
    ]


def _moments(
    events: Sequence[Interaction], catalogue: Mapping[str, Item]
) -> list[tuple[int, tuple[str, ...]]]:
    """Places in the stream, and what the user of that event had had before."""
    had: dict[str, tuple[str, ...]] = {}
    found = []
    for place, event in enumerate(events):
        if not event.accepted or event.item_id not in catalogue:
            continue
        before = had.get(event.user_id, ())
        if len(before) >= HAD and place > RECENT:
            found.append((place, before))
        had[event.user_id] = (*before, event.item_id)[-20:]
    return found


def _question(
    moment: tuple[int, tuple[str, ...]],
    events: Sequence[Interaction],
    catalogue: Mapping[str, Item],
    drawn: random.Random,
) -> Question:
    place, before = moment
    recent = [event.item_id for event in events[place - RECENT : place]]
    seen = dict.fromkeys(item_id for item_id in recent if item_id in catalogue)
    new = [item_id for item_id in seen if item_id not in before]
    if len(new) < LISTED:
        raise ValueError(f"somebody has had all but {len(new)} of the items of event {place}")
    listed = tuple(catalogue[item_id] for item_id in drawn.sample(new, LISTED))
    kinds = [kind for item in listed for kind in item.categories] or ["story"]
    query = drawn.choice(QUERIES).format(kind=drawn.choice(kinds).lower())
    history = [catalogue[item_id] for item_id in reversed(before)]
    context_C = context_of(query, history[:HAD], 0, len(before))
    user_id = events[place].user_id
    return Question(user_id, query, listed, tuple(history[:HISTORY]), context_C, varied=False)
