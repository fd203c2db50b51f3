"""``tasks.ranking.lists.explanations_port.Explanations`` in Redis: one small value a list, gone
after a while.

    <prefix>:why:<recommendation_id>    a string with a time to live:
        length of the JSON (4 bytes, little-endian), JSON, then the arrays in the order of
        ``_ARRAYS``; closeness as float16, everything else as float32

About 3 KB for ten items; one pipelined write for a micro-batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import islice
from typing import Any

import numpy as np
import orjson
import redis

from streamrec.core.examples import FloatArray
from streamrec.errors import Malformed
from streamrec.infra.stores.redis_store import redis_errors
from streamrec.tasks.ranking.lists.explanation import Explanation

_ARRAYS = {"scores_K": "<f4", "probabilities_K": "<f4", "raw_KD": "<f4", "closeness_KH": "<f2"}
_OTHERS = [spec.name for spec in fields(Explanation) if spec.name not in _ARRAYS]
_TUPLES = ("items", "history", "names")


class RedisExplanations:
    """See ``tasks.ranking.lists.explanations_port``. ``ttl_s``: seconds an explanation is kept."""

    def __init__(self, client: redis.Redis, key_prefix: str, ttl_s: float) -> None:
        self._redis = client
        self._prefix = f"{key_prefix}:why:"
        self._ttl_ms = int(ttl_s * 1000)

    def keep(self, explanations: Sequence[Explanation]) -> None:
        with redis_errors("keeping explanations"), self._redis.pipeline(transaction=False) as pipe:
            for one in explanations:
                pipe.set(self._prefix + one.recommendation_id, packed(one), px=self._ttl_ms)
            pipe.execute()

    def of(self, recommendation_id: str) -> Explanation | None:
        with redis_errors("looking for an explanation"):
            found: Any = self._redis.get(self._prefix + recommendation_id)
        return None if found is None else unpacked(found)

    def forget(self, user_id: str) -> int:
        """Remove what explains a user's lists; looks at every explanation there is."""
        removed = 0
        with redis_errors("removing explanations"):
            keys = self._redis.scan_iter(match=self._prefix + "*", count=1_000)
            while some := list(islice(keys, 500)):
                found: Any = self._redis.mget(some)
                theirs = [k for k, data in zip(some, found, strict=True) if _of(data, user_id)]
                removed += int(self._redis.delete(*theirs)) if theirs else 0
        return removed


def _of(data: bytes | None, user_id: str) -> bool:
    try:
        return data is not None and unpacked(data).user_id == user_id
    except Malformed:
        return False


def packed(one: Explanation) -> bytes:
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
