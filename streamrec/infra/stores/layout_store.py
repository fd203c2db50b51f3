"""The layout of users' state, in one Redis key: ``<prefix>:layout``."""

from __future__ import annotations

from typing import Any

import orjson
import redis

from streamrec.core.state.layout import UserLayout
from streamrec.infra.stores.redis_client import redis_errors


class RedisLayout:
    """Raises Unavailable (every method)."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._key = f"{key_prefix}:layout"

    def get(self) -> UserLayout | None:
        """None before the first worker has come."""
        with redis_errors("reading the layout of users"):
            found: Any = self._redis.get(self._key)
        return UserLayout.from_record(orjson.loads(found)) if found else None

    def put(self, layout: UserLayout) -> None:
        with redis_errors("keeping the layout of users"):
            self._redis.set(self._key, orjson.dumps(layout.to_record()))

    def claim(self, layout: UserLayout) -> UserLayout:
        """The layout there is; ``layout`` where there is none."""
        with redis_errors("keeping the layout of users"):
            self._redis.set(self._key, orjson.dumps(layout.to_record()), nx=True)
        return self.get() or layout
