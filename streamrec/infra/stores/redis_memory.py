"""How much memory the state takes in Redis, of whom, and when there is none left.

Knows what Redis says of itself, and a short history of it that the feature workers keep under
``<prefix>:memory``: what is used, every five minutes of a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import redis

from streamrec.core.events import Source
from streamrec.errors import Unavailable
from streamrec.infra.stores.redis_client import masters, redis_errors

EVERY_MS = 300_000
SAMPLES = 288
LOOK_MS = 10_000
SAMPLED_USERS = 100
"""Of each partition, of those seen last and of those not seen for longest."""
OVERHEAD_BYTES = 200
"""Of a user's record beyond its own bytes: key and place in the order of silence (measured)."""
MS_PER_S = 1_000


@dataclass(frozen=True, slots=True)
class StateMemory:
    """``limit_bytes``: maxmemory, or the machine's, of all servers together; 0: nobody says.

    ``user_bytes``: of one user, the mean of a sample. ``growth``: bytes a second over the last
    ``over_s`` seconds; None: not known yet.
    """

    used_bytes: int
    limit_bytes: int
    limit_is_set: bool
    users: int
    user_bytes: int
    growth: float | None = None
    over_s: float = 0.0

    @property
    def full_in_s(self) -> float | None:
        """At this rate; None: it does not grow, or nobody knows."""
        if not self.growth or self.growth < 0 or not self.limit_bytes:
            return None
        return max(0, self.limit_bytes - self.used_bytes) / self.growth


class RedisMemory:
    """Every method but ``gauges`` raises Unavailable."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis, self._prefix = client, key_prefix
        self._noted_ms = self._looked_ms = 0
        self._gauges: dict[str, float] = {}

    def note(self, now_ms: int) -> None:
        """Add to the history what is used now, if it is time."""
        if now_ms - self._noted_ms < EVERY_MS:
            return
        history = self._history()
        if not history or now_ms - history[-1][0] >= EVERY_MS:
            history = [*history, (now_ms, self._used()[0])][-SAMPLES:]
            with redis_errors("noting how much memory is used"):
                self._redis.set(f"{self._prefix}:memory", orjson.dumps(history))
        self._noted_ms = now_ms

    def gauges(self, now_ms: int) -> dict[str, float]:
        """What is used and the limit, of the last ten seconds; nothing when Redis is away."""
        if now_ms - self._looked_ms >= LOOK_MS:
            self._looked_ms = now_ms
            try:
                used, limit, _ = self._used()
                self._gauges = {"redis/used_bytes": used, "redis/limit_bytes": limit}
            except Unavailable:
                self._gauges = {}
        return self._gauges

    def look(self, sources: Sequence[Source], now_ms: int) -> StateMemory:
        """``sources``: the events partitions."""
        used, limit, is_set = self._used()
        users, size = self._users(sources)
        history = [one for one in self._history() if one[0] < now_ms]
        if not history:
            return StateMemory(used, limit, is_set, users, size)
        at_ms, before = history[0]
        over_s = (now_ms - at_ms) / MS_PER_S
        return StateMemory(used, limit, is_set, users, size, (used - before) / over_s, over_s)

    def _history(self) -> list[tuple[int, int]]:
        with redis_errors("reading how much memory was used"):
            found: Any = self._redis.get(f"{self._prefix}:memory")
        return [(at_ms, used) for at_ms, used in orjson.loads(found or b"[]")]

    def _used(self) -> tuple[int, int, bool]:
        """Bytes used, the limit, and whether it is maxmemory's."""
        with redis_errors("asking how much memory is used"):
            told: list[dict[str, Any]] = [server.info("memory") for server in masters(self._redis)]
        is_set = all(one.get("maxmemory") for one in told)
        limit = "maxmemory" if is_set else "total_system_memory"
        used = sum(one["used_memory"] for one in told)
        return used, sum(one.get(limit, 0) for one in told), is_set

    def _users(self, sources: Sequence[Source]) -> tuple[int, int]:
        """How many, and the mean size of a sample of them."""
        count, sizes = 0, []
        with redis_errors("measuring users"):
            for source in sources:
                seen = f"{self._prefix}:{{{source}}}:seen"
                count += int(self._redis.zcard(seen))
                ends: Any = {
                    *self._redis.zrange(seen, 0, SAMPLED_USERS - 1),
                    *self._redis.zrange(seen, -SAMPLED_USERS, -1),
                }
                keys = [f"{self._prefix}:{{{source}}}:u:{user.decode()}" for user in ends]
                found: Any = self._redis.mget(keys) if keys else []
                sizes += [len(one) + OVERHEAD_BYTES for one in found if one is not None]
        return count, round(sum(sizes) / max(1, len(sizes)))
