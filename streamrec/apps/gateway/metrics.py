"""``/metrics`` on the gateway's own port; for who may read."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from streamrec.apps.gateway.context import Context
from streamrec.apps.gateway.roles import Reader
from streamrec.infra.metrics.server import metrics_page

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
def metrics(request: Request, context: Context, _caller: Reader) -> Response:
    """Everything measured here, as OpenMetrics where that is asked for."""
    page = metrics_page(context.monitor.registry, request.headers.get("accept", ""))
    return Response(page.body, page.status, {"Content-Type": page.kind})
