"""``ports.dead_letters.ResendLedger`` in Redis: one hash, dead letter -> what is remembered of it.

HSETNX lets exactly one claim be first.

    <prefix>:dead-letters:resent    hash: <partition>:<offset> -> {"by", "at", "to"}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import redis

from streamrec.core.dead_letters import DeadLetterPosition, Origin, Resent
from streamrec.infra.stores.redis_client import redis_errors


class RedisResendLedger:
    """See ``ports.dead_letters.ResendLedger``."""

    def __init__(self, client: redis.Redis, key_prefix: str = "sr") -> None:
        self._redis = client
        self._key = f"{key_prefix}:dead-letters:resent"

    def claim(self, resent: Resent) -> Resent | None:
        with redis_errors("claiming a dead letter"):
            if self._redis.hsetnx(self._key, str(resent.letter), _packed(resent)):
                return None
            found: Any = self._redis.hget(self._key, str(resent.letter))
        return _unpacked(resent.letter, found) if found else None

    def confirm(self, resent: Resent) -> None:
        with redis_errors("noting that a dead letter was resent"):
            self._redis.hset(self._key, str(resent.letter), _packed(resent))

    def withdraw(self, letter: DeadLetterPosition) -> None:
        with redis_errors("noting that a dead letter was not resent"):
            self._redis.hdel(self._key, str(letter))

    def all(self) -> Mapping[DeadLetterPosition, Resent]:
        with redis_errors("reading which dead letters were resent"):
            found: Any = self._redis.hgetall(self._key)
        places = {
            DeadLetterPosition(*map(int, name.split(b":"))): value for name, value in found.items()
        }
        return {place: _unpacked(place, value) for place, value in places.items()}


def _packed(resent: Resent) -> bytes:
    return orjson.dumps(
        {"by": resent.by, "at": resent.at_ms, "to": list(resent.to) if resent.to else None}
    )


def _unpacked(letter: DeadLetterPosition, data: bytes) -> Resent:
    fields = orjson.loads(data)
    to = fields["to"]
    return Resent(letter, fields["by"], fields["at"], Origin(*to) if to else None)
