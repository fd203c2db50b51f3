"""Replies that were made, those that wait for a reviewer, and conversations, in Redis.

    <prefix>:replies:<reply_id>          a string with a time to live; its bytes are the task's
    <prefix>:replies:<reply_id>:part     the same of what is being written, gone after a minute
    <prefix>:replies-held                sorted set: reply_id by when it was made
    <prefix>:conversations:<user_id>     a user's last conversations, JSON, gone after a while
    <prefix>:shown:<user_id>             the same of the lists that were shown in them

The first worker to make a reply wins; whoever makes it again takes what stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import redis

from streamrec.errors import Malformed
from streamrec.infra.stores.redis_client import redis_errors

KEPT_MS = 3_600_000
PART_MS = 60_000
HELD_MS = 7 * 86_400_000
"""A reviewer has so long."""
CONVERSATIONS, TURNS = 8, 20
"""Of one user, the last ones; of one conversation, likewise."""

Made = TypeVar("Made")
Turn = Mapping[str, Any]


class RedisReplies(Generic[Made]):
    """``unpack`` raises Malformed. What is kept has a ``reply_id``, a ``user_id`` and ``held``.

    Raises (every method): Unavailable.
    """

    def __init__(
        self,
        client: redis.Redis,
        key_prefix: str,
        pack: Callable[[Made], bytes],
        unpack: Callable[[bytes], Made],
    ) -> None:
        self._redis, self._pack, self._unpack = client, pack, unpack
        self._prefix, self._held = f"{key_prefix}:replies:", f"{key_prefix}:replies-held"

    def keep(self, made: Sequence[Any], now_ms: int) -> list[Any]:
        """What stands of each: what was kept before, where there is any."""
        if not made:
            return []
        with redis_errors("keeping replies"), self._redis.pipeline(transaction=False) as pipe:
            for one in made:
                pipe.set(self._key(one.reply_id), self._pack(one), px=_ttl_ms(one), nx=True)
                pipe.get(self._key(one.reply_id))
            found: list[Any] = pipe.execute()[1::2]
            pairs = zip(made, found, strict=True)
            stand: list[Any] = [one if data is None else self._unpack(data) for one, data in pairs]
            if held := {one.reply_id: now_ms for one in stand if one.held is not None}:
                self._redis.zadd(self._held, held, nx=True)
        return stand

    def put(self, made: Any) -> None:
        """In place of what was kept of it; no more held."""
        with redis_errors("keeping a reply"):
            self._redis.set(self._key(made.reply_id), self._pack(made), px=_ttl_ms(made))
            self._redis.zrem(self._held, made.reply_id)

    def of(self, reply_id: str) -> Made | None:
        with redis_errors("looking for a reply"):
            found: Any = self._redis.get(self._key(reply_id))
        return None if found is None else self._unpack(found)

    def put_part(self, made: Any) -> None:
        """What is said so far, in place of what was."""
        with redis_errors("keeping a part of a reply"):
            self._redis.set(self._part(made.reply_id), self._pack(made), px=PART_MS)

    def part_of(self, reply_id: str) -> Made | None:
        """Of a reply that is being written."""
        with redis_errors("looking for a part of a reply"):
            found: Any = self._redis.get(self._part(reply_id))
        return None if found is None else self._unpack(found)

    def held(self) -> list[Made]:
        """Those that wait, oldest first."""
        with redis_errors("looking for held replies"):
            names: Any = self._redis.zrange(self._held, 0, -1)
            found = [(name, self.of(name.decode())) for name in names]
            waiting: list[Any] = [made for _, made in found if made is not None]
            if gone := [name for name, made in found if made is None]:
                self._redis.zrem(self._held, *gone)
        return [made for made in waiting if made.held is not None]

    def forget(self, user_id: str) -> int:
        """Remove a user's; looks at every reply there is."""
        removed = 0
        with redis_errors("removing replies"):
            for key in self._redis.scan_iter(match=self._prefix + "*", count=1_000):
                if self._of(self._redis.get(key), user_id):
                    self._redis.zrem(self._held, key.decode().removeprefix(self._prefix))
                    removed += int(self._redis.delete(key))
        return removed

    def _of(self, data: Any, user_id: str) -> bool:
        try:
            made: Any = None if data is None else self._unpack(data)
        except Malformed:
            return False
        return made is not None and made.user_id == user_id

    def _key(self, reply_id: str) -> str:
        return self._prefix + reply_id

    def _part(self, reply_id: str) -> str:
        return f"{self._key(reply_id)}:part"


def _ttl_ms(made: Any) -> int:
    return KEPT_MS if made.held is None else HELD_MS


class RedisConversations:
    """What was said in the last conversations of each user; a silent one's are gone in ``ttl_s``.

    ``name``: of the keys; ``once``: the field by which a turn is known. Raises (every method):
    Unavailable.
    """

    def __init__(
        self,
        client: redis.Redis,
        key_prefix: str,
        name: str = "conversations",
        once: str = "reply_id",
        ttl_s: float = 3_600.0,
    ) -> None:
        self._redis, self._ttl_ms, self._once = client, int(ttl_s * 1000), once
        self._prefix = f"{key_prefix}:{name}:"

    def turns(self, user_id: str, conversation_id: str) -> list[Turn]:
        """Oldest first."""
        found: list[Turn] = self._all(user_id).get(conversation_id, [])
        return found

    def add(self, user_id: str, conversation_id: str, turn: Turn) -> None:
        """One more, unless it is there already."""
        known = self._all(user_id)
        turns = known.pop(conversation_id, [])
        if all(one[self._once] != turn[self._once] for one in turns):
            turns.append(turn)
        known[conversation_id] = turns[-TURNS:]  # the newest conversation last
        kept = dict(list(known.items())[-CONVERSATIONS:])
        with redis_errors("keeping a conversation"):
            self._redis.set(self._prefix + user_id, json.dumps(kept), px=self._ttl_ms)

    def forget(self, user_id: str) -> int:
        """How many were kept."""
        with redis_errors("removing conversations"):
            return int(self._redis.delete(self._prefix + user_id))

    def _all(self, user_id: str) -> dict[str, Any]:
        with redis_errors("reading a conversation"):
            data: Any = self._redis.get(self._prefix + user_id)
        found: dict[str, Any] = json.loads(data) if data else {}
        return found
