"""What every route works with."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Request
from redis import Redis

from streamrec.apps import clients
from streamrec.apps.gateway.loop_view import LoopView
from streamrec.apps.gateway.shelf import Shelf
from streamrec.apps.gateway.why_process import WhyProcess
from streamrec.apps.local_loop import GATEWAY
from streamrec.apps.monitoring import Monitor, new_monitor
from streamrec.apps.worker_context import WorkerContext
from streamrec.core.access import ApiKey
from streamrec.errors import Unavailable
from streamrec.infra.clock import SystemClock
from streamrec.infra.feeds.answer_feed import AnswerFeed
from streamrec.infra.stores.key_file import KeyRing
from streamrec.infra.wire.async_publisher import AsyncPublisher
from streamrec.infra.wire.codec import WireCodec
from streamrec.ports import NO_TRACER, Tracer, carried
from streamrec.ports.tracing import TRACEPARENT
from streamrec.settings import Settings

REDIS_S = 5.0
THREADS = 8

Found = TypeVar("Found")


@dataclass(slots=True)
class GatewayContext:
    """``worker``: Redis, and what every worker is made with; None until all of it was there once.

    ``stop``: set when we must end. ``keys``: of the file. ``identify``: the key of a request, or
    raises AccessRefused.
    ``publisher`` and ``answers`` belong to the event loop.
    """

    settings: Settings
    worker_id: str
    stop: threading.Event
    codec: WireCodec
    publisher: AsyncPublisher
    answers: AnswerFeed
    keys: KeyRing
    identify: Callable[[Request], ApiKey]
    explanations: WhyProcess
    view: LoopView
    shelf: Shelf = field(default_factory=Shelf)
    clock: SystemClock = field(default_factory=SystemClock)
    worker: WorkerContext | None = None
    tracer: Tracer = NO_TRACER
    monitor: Monitor = field(default_factory=partial(new_monitor, GATEWAY))
    threads: Executor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, "redis"))

    @property
    def connected(self) -> WorkerContext:
        """Raises Unavailable before Kafka and Redis have been reached for the first time."""
        if self.worker is None:
            raise Unavailable("the gateway has not reached Kafka and Redis yet")
        return self.worker

    @property
    def redis(self) -> Redis:
        """For a thread of the pool, not for the event loop. Raises Unavailable."""
        return self.connected.redis

    async def from_redis(self, read: Callable[..., Found], *arguments: Any) -> Found:
        """What ``read`` finds, in a thread. Raises Unavailable, also when that takes too long."""
        if self.worker is not None and self.shelf.away:
            raise Unavailable(self.shelf.away)
        reading = asyncio.get_running_loop().run_in_executor(self.threads, read, *arguments)
        try:
            return await asyncio.wait_for(reading, REDIS_S)
        except TimeoutError:
            raise Unavailable(f"Redis has not answered within {REDIS_S:g} s") from None

    def known_as(self, user: str) -> str:
        """The id of a person in topics and stores."""
        return clients.known_as(self.settings, user)

    @property
    def pseudonymous(self) -> bool:
        """Whether people have other ids in topics and stores."""
        trust = self.settings.trust
        return bool(trust.pseudonym_key)

    def missing(self) -> list[str]:
        """What keeps us from being ready, in words."""
        found = ["the gateway is ending"] if self.stop.is_set() else []
        if self.publisher.away:
            found.append(self.publisher.away)
        elif not self.answers.ready:
            found.append("the topic recommendations is not followed yet")
        if self.worker is None:
            found.append("Kafka and Redis have not been reached yet")
        elif self.shelf.away:
            found.append(self.shelf.away)
        return found


def context_of(request: Request) -> GatewayContext:
    app: FastAPI = request.app
    found: GatewayContext = app.state.context
    return found


Context = Annotated[GatewayContext, Depends(context_of)]


def _caller_trace(request: Request) -> str:
    return carried([(TRACEPARENT, request.headers.get(TRACEPARENT, "").encode("latin-1"))])


CallerTrace = Annotated[str, Depends(_caller_trace)]
"""``traceparent`` of the caller; "" where there is none."""
