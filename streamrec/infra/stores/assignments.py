"""Which wording of an item a user has been given, in Redis, for as long as the settings say.

    <prefix>:wording:<digest of user and item>    "<propensity> <variant>", with a time to live

The first worker to assign wins; whoever comes later takes what stands. The key does not tell the
user, and all of it is gone after its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import redis

from streamrec.core.variants.traffic import Assigned
from streamrec.infra.stores.redis_client import redis_errors

UserItem = tuple[str, str]


class RedisAssignments:
    """``ttl_s``: seconds an assignment stands; 0: none is kept."""

    def __init__(self, client: redis.Redis, key_prefix: str, ttl_s: float) -> None:
        self._redis = client
        self._prefix = f"{key_prefix}:wording:"
        self.ttl_ms = int(ttl_s * 1000)

    def hold(self, wishes: Mapping[UserItem, Assigned]) -> dict[UserItem, Assigned]:
        """What stands: of before, where there is any, else what is wished. Raises Unavailable."""
        if not wishes or not self.ttl_ms:
            return dict(wishes)
        keys = [self._key(*pair) for pair in wishes]
        with redis_errors("assigning wordings"), self._redis.pipeline(transaction=False) as pipe:
            for key, wish in zip(keys, wishes.values(), strict=True):
                pipe.set(key, f"{wish.propensity!r} {wish.variant_id}", px=self.ttl_ms, nx=True)
                pipe.get(key)
            answers: list[Any] = pipe.execute()
        return {
            pair: _read(data) or wish
            for (pair, wish), data in zip(wishes.items(), answers[1::2], strict=True)
        }

    def _key(self, user_id: str, item_id: str) -> str:
        user, item = (text.encode("utf-8", "surrogatepass") for text in (user_id, item_id))
        name = len(user).to_bytes(4) + user + item
        return self._prefix + blake2b(name, digest_size=16).hexdigest()


def _read(data: bytes | None) -> Assigned | None:
    """None: it ran out just now."""
    propensity, _, variant = (data or b"").decode().partition(" ")
    return Assigned(variant, float(propensity)) if variant else None
