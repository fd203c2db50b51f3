"""The process: its connections, its server, and their end.

Start: the socket first, so that a port that is taken is told at once. Then it answers, that it is
not ready; Kafka and Redis are waited for beside that.

End, in this order:

1. ``/readyz`` fails and streams are closed: who balances the load sends nobody any more.
2. After ``DRAIN_S`` no new connection is taken; who is being answered is answered.
3. Kafka and Redis are let go.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from socket import socket

from streamrec.apps import access, clients, identities
from streamrec.apps.gateway.app import gateway_app
from streamrec.apps.gateway.context import GatewayContext
from streamrec.apps.gateway.doorkeeper import Doorkeeper, is_loopback
from streamrec.apps.gateway.loop_view import FOLLOW_S, LOOK_S, LoopView
from streamrec.apps.gateway.why_process import WhyProcess
from streamrec.apps.local_loop import GATEWAY
from streamrec.apps.process import stop_on_signals
from streamrec.apps.worker_context import WorkerContext, worker_context
from streamrec.errors import UserError
from streamrec.infra.feeds.answer_feed import AnswerFeed
from streamrec.infra.http.server import bound, http_server
from streamrec.infra.processes.telemetry import configure_logging
from streamrec.infra.stores.key_file import KeyRing
from streamrec.infra.tracking.tracing import open_tracer
from streamrec.infra.wire.async_publisher import AsyncPublisher
from streamrec.loop.background import Background, running
from streamrec.ports import Counted
from streamrec.settings import Settings

log = logging.getLogger(__name__)

REFRESH_S = 1.0
DRAIN_S = 1.0
BEAT_S = 2.0
USED_S = 10.0
"""Which keys were used is told so often; of the last seconds before an end it is not."""


def run(settings: Settings, worker_id: str) -> None:
    """Answer until SIGTERM or SIGINT, then finish what is being answered and return.

    Raises:
        UserError: the port is taken, or an address that is not this host's own without keys.
    """
    configure_logging(settings.log_level, worker_id, settings.log_format, GATEWAY)
    run_gateway(settings, worker_id, stop_on_signals())


def run_gateway(
    settings: Settings,
    worker_id: str,
    stop: threading.Event,
    listening: Callable[[int], object] = lambda _port: None,
) -> None:
    """As ``run``, until ``stop`` is set. ``listening`` is told the port, once it is open."""
    gateway, ring = settings.gateway, access.key_ring(settings)
    if ring.missing and not is_loopback(gateway.host):
        raise UserError(
            f"STREAMREC_GATEWAY_HOST is {gateway.host}: others than this host may call there, and "
            f"there are no keys in {ring.path}: `streamrec keys api new` makes one"
        )
    with bound(gateway.host, gateway.port) as listener:
        port = listener.getsockname()[1]
        log.info("listening on http://%s:%d", gateway.host, port)
        listening(port)
        asyncio.run(_serve(_context(settings, worker_id, stop, ring), listener))
    log.info("stopped")


def _context(
    settings: Settings, worker_id: str, stop: threading.Event, ring: KeyRing
) -> GatewayContext:
    codec = clients.codec(settings)
    context = GatewayContext(
        settings,
        worker_id,
        stop,
        codec,
        AsyncPublisher(settings.kafka, worker_id),
        AnswerFeed(settings.kafka, codec, worker_id),
        keys=ring,
        identify=Doorkeeper(ring),
        explanations=WhyProcess(settings),
        view=LoopView(settings, worker_id),
        tracer=open_tracer(settings, GATEWAY, worker_id),
    )
    meter = context.monitor.meter
    ring.counted = lambda outcome: meter.count(Counted.KEYS_FILES, outcome=outcome)
    return context


async def _serve(context: GatewayContext, listener: socket) -> None:
    """Raises what ended a part that must not end."""
    backstage = _Backstage(context)
    backstage.start()
    tasks = [asyncio.create_task(part.run()) for part in (context.answers, context.publisher)]
    server = http_server(gateway_app(context))
    try:
        serving = asyncio.create_task(server.until(lambda: server.should_exit, listener))
        while not (context.stop.is_set() or any(task.done() for task in (serving, *tasks))):
            context.monitor.vitals.turn()
            await asyncio.sleep(0.05)
        context.stop.set()
        context.answers.dismiss()
        await asyncio.sleep(DRAIN_S)
        server.should_exit = True
        await serving
    finally:
        context.stop.set()
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(backstage.join)
        await asyncio.to_thread(context.tracer.close)
        context.threads.shutdown(wait=False, cancel_futures=True)
    for error in (*ended, backstage.error):
        if isinstance(error, Exception):
            raise error


class _Backstage(threading.Thread):
    """Redis, and what every worker has: waited for, kept fresh, let go in the end."""

    def __init__(self, context: GatewayContext) -> None:
        super().__init__(name="backstage", daemon=True)
        self._context = context
        self.error: Exception | None = None

    def run(self) -> None:
        context = self._context
        try:
            with worker_context(
                context.settings,
                context.worker_id,
                GATEWAY,
                context.stop,
                monitor=context.monitor,
                tracer=context.tracer,
            ) as worker:
                if worker is not None:
                    self._work(worker)
        except Exception as error:
            self.error = error
        finally:
            context.worker = None
            context.stop.set()

    def _work(self, worker: WorkerContext) -> None:
        context = self._context
        identities.check_pseudonyms(context.settings)
        context.shelf.fill(worker.store, dict(worker.partitions))
        context.worker = worker
        context.keys.scope = access.scope(context.settings, worker.installation)
        status = worker.identity()
        shelf = Background("catalogue", context.shelf.refresh, REFRESH_S, context.stop)

        def say() -> None:
            worker.fleet.beat(replace(status, beat_at_ms=worker.clock.now_ms()))

        use = access.key_use(context.settings, worker.redis)
        beat = Background("fleet", say, BEAT_S, context.stop)
        keys = Background("keys", lambda: use.note(context.keys.used()), USED_S, context.stop)
        follow = Background("view", context.view.follow, FOLLOW_S, context.stop)
        look = Background("overview", context.view.look, LOOK_S, context.stop)
        with running(context.stop, shelf, beat, keys, follow, look):
            context.stop.wait()
        context.view.close()
        worker.fleet.leave(worker.worker_id)
