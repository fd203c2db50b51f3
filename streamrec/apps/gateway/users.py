"""What is known of a user, the last list, and every list as it is made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query
from starlette.responses import StreamingResponse

from streamrec.apps.gateway.context import Context, GatewayContext
from streamrec.apps.gateway.recommendations import shown
from streamrec.apps.gateway.roles import Reader
from streamrec.apps.gateway.schemas import (
    ActiveUser,
    ActiveUsers,
    AnsweredList,
    KnownUser,
    ListedEvent,
)
from streamrec.core import topics
from streamrec.core.access import check_unbound, check_user
from streamrec.core.events import Recommendation, Source
from streamrec.core.state.user_state import NEW_USER, UserState
from streamrec.errors import Unavailable
from streamrec.infra.http.problems import Problem, responses
from streamrec.infra.http.sse import EVENT_STREAM, MOST_STREAMS, event_stream
from streamrec.infra.wire.kafka import partition_for

router = APIRouter(prefix="/v1/users", tags=["users"])

UserId = Annotated[str, Path(min_length=1, description="as events name it")]
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events: `recommendation`, each with a list as its data",
        "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
    }
}


@router.get("", responses=responses(422, 503))
async def active_users(
    context: Context, caller: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 50
) -> ActiveUsers:
    """Users who were active last, by the ids that topics and stores have."""
    check_unbound(caller, "the list of users")
    found = await context.from_redis(_last_seen, context, limit)
    return ActiveUsers(users=found)


@router.get("/{user_id}", responses=responses(422, 503))
async def user(user_id: UserId, context: Context, caller: Reader) -> KnownUser:
    """What is known of a user; nothing of somebody who has never been seen."""
    check_user(caller, user_id)
    state = await context.from_redis(_state, context, context.known_as(user_id))
    titles = context.shelf.titles(state.history)
    times = zip(reversed(state.history), reversed(state.history_ms), strict=True)
    return KnownUser(
        user_id=user_id,
        history=[
            ListedEvent(item_id=item, title=titles[item], action="accepted", at_ms=at_ms)
            for item, at_ms in times
        ],
        views=state.views,
        accepts=state.accepts,
        first_seen_ms=state.first_seen_ms or None,
        last_seen_ms=state.last_seen_ms or None,
    )


@router.get("/{user_id}/recommendations", responses=responses(404, 422, 503))
async def last_list(user_id: UserId, context: Context, caller: Reader) -> AnsweredList:
    """The last list that was made for a user, asked for or not."""
    check_user(caller, user_id)
    found = context.answers.last(context.known_as(user_id))
    if found is None and not context.answers.ready:
        raise Unavailable(context.publisher.away or "recommendations are not followed yet")
    if found is None:
        raise Problem(404, "no-list", "no list has been made for this user lately")
    return shown(context, found, user_id)


@router.get(
    "/{user_id}/stream", response_class=StreamingResponse, responses={**responses(422), **_STREAM}
)
async def stream(user_id: UserId, context: Context, caller: Reader) -> StreamingResponse:
    """The last list, then every list of a user as it is made (server-sent events)."""
    check_user(caller, user_id)
    if context.answers.listeners >= MOST_STREAMS or context.stop.is_set():
        raise Unavailable(f"{MOST_STREAMS:,} streams are open here already, or we are ending", 5.0)
    return event_stream(_lists(context, user_id))


async def _lists(context: GatewayContext, user_id: str) -> AsyncIterator[tuple[str, str, bytes]]:
    known = context.known_as(user_id)
    with context.answers.listening(known) as listener:
        found = context.answers.last(known)
        while True:
            if found is not None:
                yield "recommendation", found.recommendation_id, _json(context, found, user_id)
            found = await listener.get()
            if found is None:
                return


def _json(context: GatewayContext, found: Recommendation, user_id: str) -> bytes:
    return orjson.dumps(shown(context, found, user_id).model_dump(mode="json"))


def _last_seen(context: GatewayContext, limit: int) -> list[ActiveUser]:
    worker = context.connected
    seen = [
        one
        for partition in range(worker.layout.partitions)
        for one in worker.store.last_seen(Source(topics.EVENTS, partition), limit)
    ]
    latest = sorted(seen, reverse=True)[:limit]
    return [ActiveUser(user_id=user_id, last_seen_ms=at_ms) for at_ms, user_id in latest]


def _state(context: GatewayContext, known: str) -> UserState:
    worker = context.connected
    source = Source(topics.EVENTS, partition_for(known, worker.layout.partitions))
    _, (record,) = worker.store.read_users(source, [known])
    return NEW_USER if record is None else UserState.from_record(record)
