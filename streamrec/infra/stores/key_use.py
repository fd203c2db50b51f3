"""When each API key was used last, in Redis: who changes one sees whether the old one still is.

<prefix>:api-keys    hash: key id -> ms since 1970
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis import Redis

from streamrec.infra.stores.redis_client import redis_errors


class RedisKeyUse:
    """Of all gateways together; the last one that says something of a key counts."""

    def __init__(self, client: Redis, key_prefix: str) -> None:
        self._redis, self._key = client, f"{key_prefix}:api-keys"

    def note(self, used: Mapping[str, int]) -> None:
        """Raises Unavailable."""
        if used:
            with redis_errors("noting which API keys were used"):
                self._redis.hset(self._key, items=[part for pair in used.items() for part in pair])

    def all(self) -> dict[str, int]:
        """Raises Unavailable."""
        with redis_errors("asking which API keys were used"):
            found: Any = self._redis.hgetall(self._key)
        return {name.decode(): int(at_ms) for name, at_ms in found.items()}
