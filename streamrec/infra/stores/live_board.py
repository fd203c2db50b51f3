"""A trainer's report of live outcomes (``core.release.live_report``), in a Redis key that expires.

{prefix}:live          JSON of the LiveReport of ranking
{prefix}:live-<task>   of another task
"""

from __future__ import annotations

import orjson
from redis import Redis
from redis.exceptions import RedisError

from streamrec.core import tasks
from streamrec.core.release.live_report import LiveReport
from streamrec.core.tasks import RANKING
from streamrec.errors import Unavailable

TTL_S = 60


class RedisLiveBoard:
    """Written by the trainer about once a second, read by whoever wants to know."""

    def __init__(self, client: Redis, key_prefix: str = "sr", task: str = RANKING) -> None:
        self._redis = client
        self._key = f"{key_prefix}:{tasks.key('live', task)}"

    def put(self, report: LiveReport) -> None:
        """Raises Unavailable."""
        try:
            self._redis.set(self._key, orjson.dumps(report.to_record()), ex=TTL_S)
        except RedisError as error:
            raise Unavailable(f"Redis did not take the live report: {error}") from error

    def get(self) -> LiveReport | None:
        """None when no trainer has said anything lately. Raises Unavailable."""
        try:
            data = self._redis.get(self._key)
        except RedisError as error:
            raise Unavailable(f"Redis did not give the live report: {error}") from error
        if data is None:
            return None
        try:
            return LiveReport.from_record(orjson.loads(data))
        except (KeyError, TypeError, ValueError):  # a trainer of another version wrote it
            return None
