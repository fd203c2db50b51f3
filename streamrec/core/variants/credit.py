"""Which wording a list showed, told by its own id, and the counts that views and clicks make of it.

A list with wordings has an id that ends in ``~`` and, for each item that has some, which one it
was shown with. Whoever echoes the id tells us; no store is asked, so counts stay a function of the
log (docs/adr/0123). A check over id, user and wordings makes what is not ours, or somebody else's,
count nowhere.

    <trigger>~<check, 3 bytes><item, 3 bytes><wording, 3 bytes>…    base64url

Items and wordings are named by 24-bit digests. What is counted of an item is a small table in its
row: digest, views and clicks of up to ``SLOTS`` wordings; beyond them the least seen goes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from streamrec.core.events import Interaction, Kind
from streamrec.core.state.counters import Counter, Numbers, Owner

SLOTS = 16
PARTS = 3  # of a slot: digest, views, clicks
MARK = "~"
MAX_ID_BYTES = 250
"""Of a list's id: what comes back in events may have so many, and a little more."""

Array = NDArray[np.float64]


def digest24(text: str) -> int:
    """Stands for an item's or a wording's id; never 0."""
    name = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=3).digest()) or 1


def named(recommendation_id: str, user_id: str, shown: Mapping[str, str]) -> str:
    """The id of a list that shows items (by id) with wordings (by id)."""
    if not shown:
        return recommendation_id
    pairs = b"".join(
        digest24(item).to_bytes(3) + digest24(variant).to_bytes(3)
        for item, variant in shown.items()
    )
    token = _check(recommendation_id, user_id, pairs) + pairs
    return f"{recommendation_id}{MARK}{base64.urlsafe_b64encode(token).decode()}"


def room(recommendation_id: str) -> int:
    """How many items' wordings an id has room for."""
    left = MAX_ID_BYTES - len(recommendation_id.encode("utf-8", "surrogatepass")) - 5
    return max(0, left // 8)


def shown_in(recommendation_id: str | None, user_id: str) -> dict[int, int]:
    """Digests of items, and of the wordings they were shown with; empty for any other id."""
    if recommendation_id is None or MARK not in recommendation_id:
        return {}
    return _shown_in(recommendation_id, user_id)


@lru_cache(maxsize=256)
def _shown_in(recommendation_id: str, user_id: str) -> dict[int, int]:
    name, _, text = recommendation_id.rpartition(MARK)
    try:
        token = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return {}
    check, pairs = token[:3], token[3:]
    if not pairs or len(pairs) % 6 or check != _check(name, user_id, pairs):
        return {}
    return {
        int.from_bytes(pairs[at : at + 3]): int.from_bytes(pairs[at + 3 : at + 6])
        for at in range(0, len(pairs), 6)
    }


def _check(recommendation_id: str, user_id: str, pairs: bytes) -> bytes:
    hashed = blake2b(pairs, digest_size=3)
    for text in (recommendation_id, user_id):
        name = text.encode("utf-8", "surrogatepass")
        hashed.update(len(name).to_bytes(4) + name)
    return hashed.digest()


def credited(numbers: Numbers, event: Interaction) -> Numbers:
    """The table once a view or a click has named its list; the same where it names none."""
    if event.recommendation_id is None or not (event.kind is Kind.VIEW or event.accepted):
        return numbers
    shown = shown_in(event.recommendation_id, event.user_id)
    variant = shown.get(digest24(event.item_id)) if shown else None
    if variant is None:
        return numbers
    slot = _slot(numbers, variant)
    table = list(numbers)
    if table[slot] != variant:
        table[slot : slot + PARTS] = [float(variant), 0.0, 0.0]
    table[slot + (2 if event.accepted else 1)] += 1.0
    return tuple(table)


def _slot(numbers: Numbers, variant: int) -> int:
    """Its own, a free one, or that of the least seen."""
    starts = range(0, SLOTS * PARTS, PARTS)
    own = next((at for at in starts if numbers[at] == variant), None)
    if own is not None:
        return own
    free = next((at for at in starts if not numbers[at]), None)
    return min(starts, key=lambda at: numbers[at + 1]) if free is None else free


CREDIT = Counter("wordings", Owner.ITEM, SLOTS * PARTS, credited)
"""What feature workers count of every item, in its row ``s/wordings/<item>``."""


def counts_of(variants: Sequence[str], tables: Sequence[Array]) -> tuple[Array, Array]:
    """Views and clicks of wordings (by id) in the tables of all partitions: (A,) both.

    A click that nobody said was a view is one.
    """
    views_A, clicks_A = np.zeros(len(variants)), np.zeros(len(variants))
    digests_A = [digest24(variant) for variant in variants]
    for table in tables:
        for digest, views, clicks in table.reshape(SLOTS, PARTS):
            if digest and int(digest) in digests_A:
                views_A[digests_A.index(int(digest))] += views
                clicks_A[digests_A.index(int(digest))] += clicks
    return np.maximum(views_A, clicks_A), clicks_A
