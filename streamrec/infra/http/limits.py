"""How much one caller may ask: bytes of a body, and requests a second.

Plain ASGI, before anything is read. A caller is a key, or an address where there is none; a proxy
on this host says whose address it is. Does not know which keys there are: one that nobody knows has
an allowance as well, and then no access.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamrec.infra.http.problems import Problem

BURST_S = 2.0
"""An allowance unused for so long is kept."""
CALLERS = 10_000
"""Whose allowances are remembered; who was silent longest begins with a full one."""
LIMITED = "/v1/"


class Allowances:
    """Requests a second by caller (a token bucket each). ``per_s`` 0: any number."""

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._clock = per_s, clock
        self._most = max(1.0, per_s * BURST_S)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # and as of when

    def wait_s(self, caller: str) -> float:
        """0: go on, and it is counted; else when there will be room for one more."""
        if not self._per_s:
            return 0.0
        now_s = self._clock()
        left, at_s = self._left.get(caller, (self._most, now_s))
        left = min(self._most, left + (now_s - at_s) * self._per_s)
        allowed = left >= 1.0
        self._left[caller] = (left - allowed, now_s)
        self._left.move_to_end(caller)
        if len(self._left) > CALLERS:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / self._per_s


class Limits:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, allowances: Allowances) -> None:
        self._app, self._max_body_bytes, self._allowances = app, max_body_bytes, allowances

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if refused := self._refused(scope, headers):
            await refused.response()(scope, receive, send)
            return
        await self._app(scope, self._counted(receive), send)

    def _refused(self, scope: Scope, headers: Headers) -> Problem | None:
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self._max_body_bytes:
            return Problem(413, "too-large", self._too_large())
        if not scope["path"].startswith(LIMITED):
            return None
        wait_s = self._allowances.wait_s(_caller(scope, headers))
        if not wait_s:
            return None
        retry = {"Retry-After": str(math.ceil(wait_s))}
        return Problem(429, "too-many-requests", "more requests than allowed", headers=retry)

    def _counted(self, receive: Receive) -> Receive:
        """A body that does not say how long it is."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_body_bytes:
                raise HTTPException(413, self._too_large())
            return message

        return counted

    def _too_large(self) -> str:
        return f"a body has at most {self._max_body_bytes:,} bytes here"


def _caller(scope: Scope, headers: Headers) -> str:
    if key := headers.get("authorization"):
        return hashlib.sha256(key.encode()).hexdigest()
    return (scope.get("client") or ("",))[0]
