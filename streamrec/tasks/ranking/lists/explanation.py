"""What is kept of one answer so that it can be explained later.

Knows the raw inputs of its scores, and where state and statistics stood. Does not know
weights: the parts of a score are computed when somebody asks, from the generation's own
head (``tasks.ranking.model.attribution``), so keeping an explanation costs a copy and no
arithmetic.

Legend: K items of the list, D inputs of the head, H known items of the user, newest first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import orjson

from streamrec.core.examples import FloatArray
from streamrec.errors import Malformed


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Everything one list was made from. Times are milliseconds since the Unix epoch."""

    recommendation_id: str
    user_id: str
    generation: str
    worker_id: str
    items: tuple[str, ...]
    scores_K: FloatArray
    probabilities_K: FloatArray
    raw_KD: FloatArray
    closeness_KH: FloatArray  # cosine of item and the user's item
    history: tuple[str, ...]  # newest first, known items only
    names: tuple[str, ...]  # of the D inputs
    query: str | None
    state_position: int  # next event offset of the user's partition that the state includes
    statistics: Mapping[str, int]  # source -> next offset that the statistics include
    watermark_ms: int  # latest event time in the statistics
    user_seen_ms: int  # latest event of the user; 0: never seen
    served_at_ms: int

    def input_of(self, place: int) -> Mapping[str, float]:
        """Raw inputs of the list's item number ``place`` (0-based), by name."""
        return dict(zip(self.names, map(float, self.raw_KD[place]), strict=True))


def same(one: Explanation, other: Explanation) -> bool:
    """Whether two explanations say the same, arrays included."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in Explanation.__dataclass_fields__
    )


_ARRAYS = {"scores_K": "<f4", "probabilities_K": "<f4", "raw_KD": "<f4", "closeness_KH": "<f2"}
_OTHERS = [spec.name for spec in fields(Explanation) if spec.name not in _ARRAYS]
_TUPLES = ("items", "history", "names")


def packed(one: Explanation) -> bytes:
    """Length of the JSON (4 bytes, little-endian), JSON, then the arrays in their order;
    closeness as float16, everything else as float32."""
    header = {name: getattr(one, name) for name in _OTHERS}
    text = orjson.dumps(header)
    arrays = (
        np.ascontiguousarray(getattr(one, name), kind).tobytes() for name, kind in _ARRAYS.items()
    )
    return b"".join((len(text).to_bytes(4, "little"), text, *arrays))


def unpacked(data: bytes) -> Explanation:
    """Raises Malformed: written by another version, or not by us."""
    try:
        start = 4 + int.from_bytes(data[:4], "little")
        header = orjson.loads(data[4:start])
        header |= {name: tuple(header[name]) for name in _TUPLES}
        header |= _arrays(data[start:], header)
        return Explanation(**header)
    except (ValueError, KeyError, TypeError) as error:
        raise Malformed(f"no explanation this version can read: {error}") from None


def _arrays(data: bytes, header: dict[str, Any]) -> dict[str, FloatArray]:
    items = len(header["items"])
    shapes = {
        "scores_K": (items,),
        "probabilities_K": (items,),
        "raw_KD": (items, len(header["names"])),
        "closeness_KH": (items, len(header["history"])),
    }
    found, at = {}, 0
    for name, kind in _ARRAYS.items():
        count = int(np.prod(shapes[name]))
        values = np.frombuffer(data, kind, count, at)
        found[name] = values.astype(np.float32).reshape(shapes[name])
        at += values.nbytes
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes too many")
    return found
