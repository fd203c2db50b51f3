"""A trainer's report of live outcomes (``core.release.live_report``), in a Redis key that expires.

{prefix}:live          JSON of the LiveReport of ranking
{prefix}:live-<task>   of another task
"""

from __future__ import annotations

import orjson
from redis import Redis

from streamrec.core import tasks
from streamrec.core.release.live_report import LiveReport
from streamrec.core.tasks import RANKING
from streamrec.infra.stores.redis_client import redis_errors

TTL_S = 60


class RedisLiveBoard:
    """Written by the trainer about once a second, read by whoever wants to know."""

    def __init__(self, client: Redis, key_prefix: str = "sr", task: str = RANKING) -> None:
        self._redis = client
        self._key = f"{key_prefix}:{tasks.key('live', task)}"

    def put(self, report: LiveReport) -> None:
        """Raises Unavailable."""
        with redis_errors("writing the live report"):
            self._redis.set(self._key, orjson.dumps(report.to_record()), ex=TTL_S)

    def get(self) -> LiveReport | None:
        """None when no trainer has said anything lately. Raises Unavailable."""
        with redis_errors("reading the live report"):
            data = self._redis.get(self._key)
        if data is None:
            return None
        try:
            return LiveReport.from_record(orjson.loads(data))
        except (KeyError, TypeError, ValueError):  # a trainer of another version wrote it
            return None
