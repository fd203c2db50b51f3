"""What is kept of answers, in Redis: one small value an answer, gone after a while.

    <prefix>:why:<recommendation_id>    a string with a time to live; its bytes are the task's

About 3 KB for a list of ten items; one pipelined write for a micro-batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

import redis

from streamrec.errors import Malformed
from streamrec.infra.stores.redis_client import redis_errors

Kept = TypeVar("Kept")


class RedisExplanations(Generic[Kept]):
    """``ttl_s``: seconds an explanation is kept. ``unpack`` raises Malformed.

    What is kept has a ``recommendation_id`` and a ``user_id``.
    """

    def __init__(
        self,
        client: redis.Redis,
        key_prefix: str,
        ttl_s: float,
        pack: Callable[[Kept], bytes],
        unpack: Callable[[bytes], Kept],
    ) -> None:
        self._pack, self._unpack = pack, unpack
        self._redis = client
        self._prefix = f"{key_prefix}:why:"
        self._ttl_ms = int(ttl_s * 1000)

    def keep(self, explanations: Sequence[Any]) -> None:
        with redis_errors("keeping explanations"), self._redis.pipeline(transaction=False) as pipe:
            for one in explanations:
                pipe.set(self._prefix + one.recommendation_id, self._pack(one), px=self._ttl_ms)
            pipe.execute()

    def of(self, recommendation_id: str) -> Kept | None:
        with redis_errors("looking for an explanation"):
            found: Any = self._redis.get(self._prefix + recommendation_id)
        return None if found is None else self._unpack(found)

    def forget(self, user_id: str) -> int:
        """Remove what explains a user's lists; looks at every explanation there is."""
        removed = 0
        with redis_errors("removing explanations"):
            keys = self._redis.scan_iter(match=self._prefix + "*", count=1_000)
            while some := list(islice(keys, 500)):
                found = self._each("GET", some)
                theirs = [k for k, data in zip(some, found, strict=True) if self._of(data, user_id)]
                removed += sum(self._each("DEL", theirs))
        return removed

    def _each(self, command: str, keys: Sequence[Any]) -> list[Any]:
        """The answers for keys that have nothing in common."""
        pipe: Any
        with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.execute_command(command, key)
            return list(pipe.execute())

    def _of(self, data: bytes | None, user_id: str) -> bool:
        try:
            kept: Any = None if data is None else self._unpack(data)
        except Malformed:
            return False
        return kept is not None and kept.user_id == user_id
