"""Who is alive and what they serve, in Redis keys that expire.

A worker that says nothing for ``TTL_S`` is gone, by Redis' clock and nobody else's.

All keys share one hash tag, so that they live together on Redis Cluster:

    {prefix}:{fleet}:workers      set of worker ids
    {prefix}:{fleet}:w:<id>       JSON of the WorkerStatus, expires
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, fields

import orjson
from redis import Redis

from streamrec.errors import Unavailable
from streamrec.infra.stores.redis_client import redis_errors
from streamrec.ports import WorkerStatus

log = logging.getLogger(__name__)

TTL_S = 10
_FIELDS = frozenset(field.name for field in fields(WorkerStatus))


class RedisFleet:
    """``ports.Fleet`` over Redis."""

    def __init__(
        self,
        client: Redis,
        key_prefix: str = "sr",
        ttl_s: float = TTL_S,
        *,
        task: str | None = None,
    ) -> None:
        """``task``: whose workers are told of; None: everybody."""
        self.task = task
        self._redis = client
        self._tag = f"{key_prefix}:{{fleet}}"
        self._ttl_ms = int(ttl_s * 1000)

    def beat(self, status: WorkerStatus) -> None:
        """Say it, for the next ``ttl_s``. Raises Unavailable."""
        with redis_errors("joining the fleet"), self._redis.pipeline(transaction=True) as pipe:
            pipe.set(self._key(status.worker_id), orjson.dumps(asdict(status)), px=self._ttl_ms)
            pipe.sadd(self._ids, status.worker_id)
            pipe.execute()

    def leave(self, worker_id: str) -> None:
        """Be gone at once, or after ``ttl_s`` when Redis does not answer; never raises."""
        try:
            with redis_errors("leaving"), self._redis.pipeline(transaction=True) as pipe:
                pipe.delete(self._key(worker_id))
                pipe.srem(self._ids, worker_id)
                pipe.execute()
        except Unavailable as error:
            log.info("%s left without saying so: %s", worker_id, error)

    def workers(self) -> Iterator[WorkerStatus]:
        """Those alive, by id. Raises Unavailable."""
        with redis_errors("asking who is in the fleet"):
            ids = sorted(_text(name) for name in self._redis.smembers(self._ids))
            found = self._redis.mget([self._key(name) for name in ids]) if ids else []
            gone = [name for name, data in zip(ids, found, strict=True) if data is None]
            if gone:  # one that comes back adds itself again with its next beat
                self._redis.srem(self._ids, *gone)
        alive = [_status(data) for data in found if data is not None]
        return iter([worker for worker in alive if self.task in (None, worker.task)])

    @property
    def _ids(self) -> str:
        return f"{self._tag}:workers"

    def _key(self, worker_id: str) -> str:
        return f"{self._tag}:w:{worker_id}"


def _status(data: bytes | str) -> WorkerStatus:
    """A newer version may say more than we know of; an older one knew no task but ranking."""
    said = {name: value for name, value in orjson.loads(data).items() if name in _FIELDS}
    return WorkerStatus(**said | {"snapshots": tuple(said.get("snapshots", ()))})


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
