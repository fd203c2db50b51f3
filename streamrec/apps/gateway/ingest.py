"""Events and items in: a verdict for each line, and no yes before Kafka has acknowledged it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from streamrec.apps.gateway.context import CallerTrace, Context, GatewayContext
from streamrec.apps.gateway.roles import Writer
from streamrec.apps.gateway.schemas import LINES, SendVerdict, SentLines
from streamrec.core import topics
from streamrec.core.access import ApiKey, check_unbound, check_user
from streamrec.errors import AccessRefused, Refused
from streamrec.infra.http.problems import Problem, responses
from streamrec.infra.wire.async_publisher import Place, TopicMessage
from streamrec.loop.ingesting.one_line import ReadyLine, ready
from streamrec.ports import Spans

ACKNOWLEDGED_S = 8.0
MOST_LINES = 5_000
JSON, NDJSON = "application/json", "application/x-ndjson"
Checked = ReadyLine | Refused | AccessRefused

router = APIRouter(tags=["events and items"])


def _body(topic: str) -> dict[str, Any]:
    """What OpenAPI says of a body that we read by ourselves."""
    one = LINES[topic]
    many = {"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_LINES}]}
    lines = {"type": "string", "description": "JSON objects, one a line"}
    content = {JSON: {"schema": many}, NDJSON: {"schema": lines}}
    return {"requestBody": {"required": True, "content": content}}


_ANSWERS = responses(415, 422, 503)


@router.post(
    "/v1/events",
    response_model=SentLines,
    responses=_ANSWERS,
    openapi_extra=_body(topics.EVENTS),
)
async def send_events(
    request: Request, context: Context, caller: Writer, trace: CallerTrace
) -> Response:
    """Interactions: an object, an array, or one object a line (NDJSON).

    Sent again after a failure, an event that has an `event_id` counts once."""
    return await _sent(topics.EVENTS, await _lines(request), context, caller, trace)


@router.post(
    "/v1/items",
    response_model=SentLines,
    responses=_ANSWERS,
    openapi_extra=_body(topics.ITEMS),
)
async def send_items(request: Request, context: Context, caller: Writer) -> Response:
    """Catalogue items, new or changed: an object, an array, or one object a line (NDJSON)."""
    check_unbound(caller, "the catalogue")
    return await _sent(topics.ITEMS, await _lines(request), context, caller)


async def _lines(request: Request) -> list[bytes]:
    """Raises Problem: another kind of body, or one that is no JSON."""
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind not in (JSON, NDJSON, "application/jsonl", "application/ndjson"):
        raise Problem(415, "unsupported-media-type", f"{JSON} or {NDJSON} is read here")
    body = await request.body()
    found = _of_json(body) if kind == JSON else [line for line in body.splitlines() if line.strip()]
    if not found:
        raise Problem(422, "malformed", "nothing is in the body")
    if len(found) > MOST_LINES:
        said = f"{len(found):,} lines; at most {MOST_LINES:,} are taken at once"
        raise Problem(422, "too-many-lines", said)
    return found


def _of_json(body: bytes) -> list[bytes]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", None) or "nested too deeply, or not UTF-8"
        raise Problem(422, "malformed", f"the body is no JSON: {reason}") from None
    if isinstance(found, list):
        return [json.dumps(one).encode() for one in found]
    return [body.strip()]


async def _sent(
    topic: str, lines: Sequence[bytes], context: GatewayContext, caller: ApiKey, trace: str = ""
) -> Response:
    context.publisher.check_there()
    checked = await asyncio.to_thread(_checked, topic, lines, context, caller)
    ready_ones = [one for one in checked if isinstance(one, ReadyLine)]
    with context.tracer.span(Spans.SEND, trace, topic=topic, lines=len(ready_ones)) as span:
        good = [TopicMessage(topic, one.key, one.data, span.headers) for one in ready_ones]
        places = iter(await context.publisher.send(good, ACKNOWLEDGED_S) if good else [])
    verdicts = list(_verdicts(topic, checked, places))
    accepted = sum(one.status == "accepted" for one in verdicts)
    sent = SentLines(accepted=accepted, refused=len(verdicts) - accepted, verdicts=verdicts)
    return _answer(sent)


def _answer(sent: SentLines) -> Response:
    """A problem document when nothing was accepted; it has the verdicts, too."""
    fields = sent.model_dump(mode="json", exclude_none=True)
    if sent.accepted:
        return JSONResponse(fields)
    first = sent.verdicts[0]
    detail = f"line {first.line}: {first.reason}" if sent.refused > 1 else str(first.reason)
    raise Problem(422, first.code or "refused", detail, **fields)


def _checked(
    topic: str, lines: Sequence[bytes], context: GatewayContext, caller: ApiKey
) -> list[Checked]:
    check = partial(
        ready,
        topic=topic,
        codec=context.codec,
        now_ms=context.clock.now_ms(),
        known_as=context.known_as,
        check_user=partial(check_user, caller),
    )
    found: list[Checked] = []
    for line in lines:
        try:
            found.append(check(line))
        except (Refused, AccessRefused) as error:
            found.append(error)
    return found


def _verdicts(
    topic: str, checked: Sequence[Checked], places: Iterator[Place | Refused]
) -> Iterator[SendVerdict]:
    for number, one in enumerate(checked, start=1):
        became = next(places) if isinstance(one, ReadyLine) else one
        if isinstance(one, ReadyLine) and isinstance(became, Place):
            yield SendVerdict(
                line=number,
                status="accepted",
                topic=topic,
                id=one.id,
                partition=became.partition,
                offset=became.offset,
            )
        elif isinstance(became, Refused | AccessRefused):
            yield SendVerdict(
                line=number,
                status="refused",
                topic=topic,
                id=one.id if isinstance(one, ReadyLine) else None,
                code=became.code,
                reason=str(became),
                field=getattr(became, "field", "") or None,
            )
