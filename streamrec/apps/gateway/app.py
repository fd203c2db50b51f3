"""The routes put together: an application around one ``GatewayContext``."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from streamrec import __version__
from streamrec.apps.gateway import (
    admin,
    fallbacks,
    health,
    ingest,
    metrics,
    overview,
    recommendations,
    replies,
    users,
)
from streamrec.apps.gateway.context import GatewayContext
from streamrec.apps.gateway.static_page import PageFiles
from streamrec.infra.http import problems
from streamrec.infra.http.limits import Allowances, Limits
from streamrec.infra.http.measured import MeasuredRequests
from streamrec.infra.http.request_ids import RequestIds

PARTS = (
    recommendations, replies, ingest, users, fallbacks, overview, admin, health, metrics
)  # fmt: skip
ROUTERS = tuple(part.router for part in PARTS)
ABOUT = """Recommendations of a loop that learns while it serves: ask for lists, send events and
items, listen to what is recommended, and operate what is released."""


def gateway_app(context: GatewayContext) -> FastAPI:
    """``context`` is ``app.state.context``."""
    app = FastAPIOffline(redoc_url=None, title="streamrec", version=__version__, description=ABOUT)
    app.state.context = context
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    gateway = context.settings.gateway
    app.add_middleware(
        Limits,
        max_body_bytes=gateway.max_body_bytes,
        allowances=Allowances(gateway.requests_per_s),
    )
    app.add_middleware(RequestIds)
    app.add_middleware(MeasuredRequests, meter=context.monitor.meter)
    # the last is the first to see a request
    app.router.default = PageFiles()  # what no route is for
    return app
