"""``/healthz``: the process lives. ``/readyz``: it can answer whoever comes."""

from __future__ import annotations

from fastapi import APIRouter

from streamrec.apps.gateway.context import Context
from streamrec.apps.gateway.schemas import Health
from streamrec.infra.http.problems import Problem, responses

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz(context: Context) -> Health:
    """Whether the process lives."""
    return Health(status="alive", worker_id=context.worker_id)


@router.get("/readyz", responses=responses(503))
async def readyz(context: Context) -> Health:
    """Whether Kafka and Redis are reached and the catalogue has been read."""
    if missing := context.missing():
        raise Problem(503, "not-ready", "; ".join(missing), headers={"Retry-After": "1"})
    return Health(status="ready", worker_id=context.worker_id)
