"""One trainer at a time: a lease in Redis that its holder keeps renewing.

Its holder must ask ``confirm`` before each step, and stop when that raises.

    {prefix}:{<name>}:holder   the holder's token, expires ``ttl_s`` after the last renewal
    {prefix}:{<name>}:last     the last holder's token, for good

The second key lets a holder that lost touch with Redis for longer than the lease take it
up again, but only if nobody else held it in between: its memory is then still the newest.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from typing import Any

from redis import Redis

from streamrec.errors import LeaseLost, Unavailable
from streamrec.infra.stores.redis_client import redis_errors

log = logging.getLogger(__name__)

TTL_S = 10.0

_TAKE = """
local holder = redis.call('GET', KEYS[1])
local last = redis.call('GET', KEYS[2])
local free = not holder and (ARGV[3] == 'new' or not last or last == ARGV[1])
if holder == ARGV[1] or free then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    redis.call('SET', KEYS[2], ARGV[1])
    return 'held'
end
return holder or last
"""
_GIVE_BACK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


def break_lease(client: Redis, key_prefix: str, name: str, holder: str) -> bool:
    """Take the lease from ``holder``, whose process is dead for certain; whether it had it.

    Raises Unavailable.
    """
    key = f"{key_prefix}:{{{name}}}:holder"
    with redis_errors(f"taking the {name} lease back"):
        token = client.get(key)
        if not isinstance(token, bytes) or token.decode().rpartition("/")[0] != holder:
            return False
        return bool(client.eval(_GIVE_BACK, 1, key, token))


class RedisLease:
    """Held from ``acquire`` until ``release``, renewed by a thread in between."""

    def __init__(
        self, client: Redis, key_prefix: str, name: str, holder: str, ttl_s: float = TTL_S
    ) -> None:
        self._redis = client
        self._keys = [f"{key_prefix}:{{{name}}}:holder", f"{key_prefix}:{{{name}}}:last"]
        self._name = name
        self._token = f"{holder}/{uuid.uuid4().hex[:8]}"
        self._ttl_s = ttl_s
        self._confirmed_s = float("-inf")  # monotonic; the lease is ours for ttl_s from then
        self._other = ""
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def try_acquire(self) -> str | None:
        """None: it is ours. Otherwise who holds it. Raises Unavailable."""
        other = self._take("new")
        if other is None:
            self._thread = threading.Thread(
                target=self._renew, name=f"{self._name}-lease", daemon=True
            )
            self._thread.start()
        return other

    def confirm(self) -> None:
        """Return if the lease is ours right now.

        Raises Unavailable when Redis has not confirmed it lately, LeaseLost when somebody
        else holds or held it since: what this process knows is then no longer the newest.
        """
        if self._other:
            raise LeaseLost(
                f"{self._other} has taken the {self._name} lease; this one stops and, when "
                "started again, waits for its turn"
            )
        if time.monotonic() - self._confirmed_s > self._ttl_s:
            raise Unavailable(f"Redis has not confirmed the {self._name} lease lately")

    def release(self) -> None:
        """Give it back at once, so that the next one need not wait for it to expire."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        try:
            with redis_errors("giving it back"):
                self._redis.eval(_GIVE_BACK, 1, self._keys[0], self._token)
        except Unavailable as error:
            log.info("the %s lease will expire by itself: %s", self._name, error)

    def _renew(self) -> None:
        while not self._done.wait(self._ttl_s / 4):
            try:
                self._other = self._take("renew") or ""
            except Unavailable as error:
                log.warning("%s", error)
            if self._other:
                return

    def _take(self, how: str) -> str | None:
        """None: held. Otherwise the token of who has it, or had it last. Raises Unavailable."""
        asked_s = time.monotonic()  # before asking: the lease may end earlier, never later
        ttl_ms = str(int(self._ttl_s * 1000))
        with redis_errors(f"asking for the {self._name} lease"):
            answer: Any = self._redis.eval(_TAKE, 2, *self._keys, self._token, ttl_ms, how)
        text = answer.decode() if isinstance(answer, bytes) else str(answer)
        if text == "held":
            self._confirmed_s = asked_s
            return None
        return text
