"""A reply in words, as soon as it is there. Knows no topic: what was made is kept in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query
from starlette.responses import StreamingResponse

from streamrec.apps import clients
from streamrec.apps.gateway.context import Context, GatewayContext
from streamrec.apps.gateway.roles import Reader
from streamrec.apps.gateway.schemas import MAX_REPLY_WAIT_S, AnsweredReply
from streamrec.core.access import ApiKey, check_unbound, check_user
from streamrec.errors import AccessRefused
from streamrec.infra.http.problems import Problem, responses
from streamrec.infra.http.sse import EVENT_STREAM, event_stream
from streamrec.infra.wire.checks import MAX_ID_BYTES
from streamrec.tasks.replies.made import MadeReply

LOOK_S = 0.1
LONGEST_S = 600.0
"""Of a stream: whoever waits for a reviewer asks again."""

router = APIRouter(prefix="/v1/replies", tags=["replies"])

ReplyId = Annotated[str, Path(min_length=1, max_length=MAX_ID_BYTES)]
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events: `reply`, each in place of those before it",
        "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
    }
}


@router.get("/{reply_id}", responses=responses(404, 422, 503))
async def reply(
    reply_id: ReplyId,
    context: Context,
    caller: Reader,
    wait_s: Annotated[float, Query(ge=0, le=MAX_REPLY_WAIT_S)] = 0.0,
) -> AnsweredReply:
    """A reply of the last hour, by the `reply_id` of the list that it is about."""
    found = await _found(context, reply_id, wait_s)
    if found is None:
        detail = "nothing is kept of it: it is not made yet, too old, or was not asked for"
        raise Problem(404, "unknown-reply", detail)
    return _shown(context, caller, found)


@router.get(
    "/{reply_id}/stream", response_class=StreamingResponse, responses={**responses(422), **_STREAM}
)
async def stream(reply_id: ReplyId, context: Context, caller: Reader) -> StreamingResponse:
    """A reply as it is said; what is reviewed first may be followed by what stood back."""
    return event_stream(_said(context, caller, reply_id))


async def _said(
    context: GatewayContext, caller: ApiKey, reply_id: str
) -> AsyncIterator[tuple[str, str, bytes]]:
    told, deadline = -1, asyncio.get_running_loop().time() + LONGEST_S
    while asyncio.get_running_loop().time() < deadline and not context.stop.is_set():
        found = await context.from_redis(_so_far, context, reply_id)
        if found is None or found.said.sequence <= told:
            await asyncio.sleep(LOOK_S)
            continue
        try:
            shown = _shown(context, caller, found)
        except AccessRefused as refused:
            yield "refused", reply_id, orjson.dumps({"detail": str(refused)})
            return
        told = shown.sequence
        yield "reply", reply_id, orjson.dumps(shown.model_dump(mode="json"))
        if shown.final and not shown.held:
            return


async def _found(context: GatewayContext, reply_id: str, wait_s: float) -> MadeReply | None:
    deadline = asyncio.get_running_loop().time() + wait_s
    while True:
        found = await context.from_redis(_kept, context, reply_id)
        late = asyncio.get_running_loop().time() >= deadline or context.stop.is_set()
        if found is not None or late:
            return found
        await asyncio.sleep(LOOK_S)


def _kept(context: GatewayContext, reply_id: str) -> MadeReply | None:
    """Raises Refused: it was kept by another version."""
    return clients.replies(context.settings, context.redis).of(reply_id)


def _so_far(context: GatewayContext, reply_id: str) -> MadeReply | None:
    """The same, or as much as has been written of it."""
    kept = clients.replies(context.settings, context.redis)
    return kept.of(reply_id) or kept.part_of(reply_id)


def _shown(context: GatewayContext, caller: ApiKey, found: MadeReply) -> AnsweredReply:
    """Raises AccessRefused."""
    if context.pseudonymous:
        check_unbound(caller, "a reply to a pseudonym")
    check_user(caller, found.user_id)
    return AnsweredReply(**asdict(found.said), held=found.held is not None)
