"""Asking for a list, over the topics: a request goes to ``requests``, its answer is read from
``recommendations``, whichever serving worker gives it.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated

import orjson
from fastapi import APIRouter, Path

from streamrec.apps import clients
from streamrec.apps.answer_fields import as_fields
from streamrec.apps.gateway.context import CallerTrace, Context, GatewayContext
from streamrec.apps.gateway.roles import Reader
from streamrec.apps.gateway.schemas import AnsweredList, AskedList, WhyAnswer
from streamrec.core import topics
from streamrec.core.access import check_unbound, check_user
from streamrec.core.events import Recommendation
from streamrec.errors import Refused, Unavailable
from streamrec.infra.http.problems import Problem, responses
from streamrec.infra.stores.reply_store import Turn
from streamrec.infra.wire.async_publisher import TopicMessage
from streamrec.infra.wire.checks import MAX_ID_BYTES
from streamrec.infra.wire.limits import MAX_TURN_CHARS
from streamrec.ports import Spans
from streamrec.tasks.replies.made import reply_id_of

REFUSED = "refused: "

router = APIRouter(tags=["recommendations"])


@router.post("/v1/recommendations", responses=responses(422, 503, 504))
async def recommend(
    asked: AskedList, context: Context, caller: Reader, trace: CallerTrace
) -> AnsweredList:
    """A list for a user, by the generation that serves now."""
    check_user(caller, asked.user_id)
    answer = await _answer(context, asked, trace)
    reply = answer.reply or ""
    if reply.startswith(REFUSED):
        raise Problem(422, "refused", reply.removeprefix(REFUSED), request_id=answer.trigger_id)
    return shown(context, answer, asked.user_id)


@router.get("/v1/recommendations/{recommendation_id}", responses=responses(404, 422, 503))
async def why(
    recommendation_id: Annotated[str, Path(min_length=1, max_length=MAX_ID_BYTES)],
    context: Context,
    caller: Reader,
) -> WhyAnswer:
    """Why an answer is as it is: each item's score by its parts, and what it was made from. Of
    answers of the last hour (STREAMREC_SERVING_EXPLAIN_S); the first look takes some seconds."""
    if context.pseudonymous:
        check_unbound(caller, "an answer to a pseudonym")
    user = await context.from_redis(_answered, context, recommendation_id)
    if user is None:
        detail = "nothing is kept of it: it is too old, or never was; `streamrec why` looks further"
        raise Problem(404, "unknown-recommendation", detail)
    check_user(caller, user)
    return WhyAnswer(**await context.explanations.why(recommendation_id))


def _answered(context: GatewayContext, recommendation_id: str) -> str | None:
    """Whom an answer was for. Raises Refused: it was kept by another version."""
    kept = clients.explanations(context.settings, context.redis).of(recommendation_id)
    return None if kept is None else kept.user_id


def shown(context: GatewayContext, found: Recommendation, user: str) -> AnsweredList:
    """The list with titles, for the user by the name that was given."""
    fields = as_fields(found)
    titles = context.shelf.titles(item["item_id"] for item in fields["items"])
    fields["items"] = [{**item, "title": titles[item["item_id"]]} for item in fields["items"]]
    reply_id = reply_id_of(found) if found.wants_reply else None
    return AnsweredList(**fields | {"user_id": user, "reply_id": reply_id})


async def _answer(context: GatewayContext, asked: AskedList, trace: str) -> Recommendation:
    """Raises Refused, Unavailable, and Problem (504) when it did not come in time."""
    request_id, user = f"http-{uuid.uuid4().hex[:20]}", context.known_as(asked.user_id)
    before = await _asked_before(context, user, asked.conversation_id)
    data = _encoded(context, asked, request_id, user, before)
    if not context.answers.ready:
        raise Unavailable(context.publisher.away or "recommendations are not followed yet")
    deadline_s = asyncio.get_running_loop().time() + asked.wait_s
    with (
        context.answers.waiting(request_id, user) as answer,
        context.tracer.span(Spans.ASK, trace, request=request_id) as span,
    ):
        message = TopicMessage(topics.REQUESTS, user.encode(), data, span.headers)
        (sent,) = await context.publisher.send([message], max(asked.wait_s, ACKNOWLEDGED_S))
        if isinstance(sent, Refused):
            raise sent
        try:
            async with asyncio.timeout_at(deadline_s):
                return await answer
        except TimeoutError:
            raise Problem(
                504,
                "no-answer",
                f"no answer within {asked.wait_s:g} s; is a serving worker up? It may still come, "
                f"as recommendation request:{request_id}",
                request_id=request_id,
            ) from None


ACKNOWLEDGED_S = 2.0
"""Kafka has this long to take a request, however short its answer is waited for."""


async def _asked_before(
    context: GatewayContext, user: str, conversation_id: str | None
) -> list[str]:
    """In the conversation, oldest first."""
    if conversation_id is None:
        return []
    turns = await context.from_redis(_turns, context, user, conversation_id)
    return [turn["query"][:MAX_TURN_CHARS] for turn in turns if turn["query"]]


def _turns(context: GatewayContext, user: str, conversation_id: str) -> list[Turn]:
    return clients.conversations(context.settings, context.redis).turns(user, conversation_id)


def _encoded(
    context: GatewayContext, asked: AskedList, request_id: str, user: str, before: list[str]
) -> bytes:
    """The message, after the checks that whoever reads it makes. Raises Refused."""
    fields = asked.model_dump(exclude={"wait_s"}) | {
        "context": before,
        "request_id": request_id,
        "user_id": user,
        "requested_at_ms": context.clock.now_ms(),
    }
    request = context.codec.decode(topics.REQUESTS, orjson.dumps(fields))
    return context.codec.encode(topics.REQUESTS, request)
