"""Requests, counted and timed for monitoring: by route, never by path.

Plain ASGI, outermost: whatever answers is measured. A stream is measured to its first byte.
"""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamrec.ports import Counted, Meter, Timed

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "other"


class MeasuredRequests:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self._app, self._meter = app, meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()

        async def measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._measure(scope, message["status"], time.perf_counter() - began_s)
            await send(message)

        await self._app(scope, receive, measured)

    def _measure(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", NO_ROUTE)
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._meter.count(Counted.HTTP_REQUESTS, route=route, method=method, status=str(status))
        self._meter.observe(Timed.HTTP, [seconds], route=route)
