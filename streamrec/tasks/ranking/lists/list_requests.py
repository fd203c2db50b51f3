"""What a micro-batch of triggers asks for: one wish for each list that has to be made.

Knows updates and requests. Does not know how a wish is answered (``tasks.ranking.lists.lists``).

Several updates of one user in a micro-batch are one wish, the latest: the lists would be the
same. Every request is a wish; a refused one that says who it is, too: for the answer that it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamrec.core.events import REASONS_IN_WORDS, Filters, Request, Trigger, UserUpdate
from streamrec.errors import RefusedRequest
from streamrec.ports import Asked, Delivered
from streamrec.tasks.ranking.lists.eligibility import NO_FILTERS

MAX_QUERY_CHARS = 1_000
"""A model reads some tens of words; finding them in a longer text would hold up everybody."""


@dataclass(frozen=True, slots=True)
class ListRequest(Asked):
    """One list that has to be made."""

    trigger: Trigger
    trigger_id: str
    triggered_at_ms: int
    k: int
    filters: Filters = NO_FILTERS
    candidates: tuple[str, ...] = ()
    query: str | None = None
    told: str | None = None  # with the answer: what of the request was not looked at
    refused: str | None = None  # why there is nothing in the answer
    wants_reply: bool = False
    wants_reasons: bool = False  # in words
    conversation_id: str | None = None
    turns: tuple[str, ...] = ()  # where a reply is wanted to a query: what was said, oldest first

    @property
    def recommendation_id(self) -> str:
        """Made from the trigger, so that answering twice can be seen."""
        return f"{self.trigger}:{self.trigger_id}"


def list_requests_of(batch: Sequence[Delivered], k: int) -> tuple[list[ListRequest], int]:
    """The wishes, and how many updates a later one of the same user stands for.

    ``k``: items in a list that nobody asked a number for.
    """
    latest: dict[str, ListRequest] = {}
    requests: list[ListRequest] = []
    updates = 0
    for message in batch:
        match message.value:
            case UserUpdate() as update:
                updates += 1
                latest[update.user_id] = _of_update(message, update, k)
            case Request() as request:
                requests.append(_of_request(message, request))
            case RefusedRequest() as refused:
                requests.append(_of_refused(message, refused))
    return [*requests, *latest.values()], updates - len(latest)


def _of_update(message: Delivered, update: UserUpdate, k: int) -> ListRequest:
    return ListRequest(
        message=message,
        user_id=update.user_id,
        trigger=Trigger.USER_UPDATE,
        trigger_id=f"{update.partition}-{update.offset}",
        triggered_at_ms=update.produced_at_ms,
        k=k,
    )


def _of_request(message: Delivered, request: Request) -> ListRequest:
    return ListRequest(
        message=message,
        user_id=request.user_id,
        trigger=Trigger.REQUEST,
        trigger_id=request.request_id,
        triggered_at_ms=message.timestamp_ms,
        k=request.k,
        filters=request.filters,
        candidates=request.candidates,
        query=_asked(request)[-MAX_QUERY_CHARS:] or None,
        told=_told(request),
        wants_reply=request.reply,
        wants_reasons=request.reasons == REASONS_IN_WORDS,
        conversation_id=request.conversation_id,
        turns=_turns(request),
    )


def _of_refused(message: Delivered, refused: RefusedRequest) -> ListRequest:
    return ListRequest(
        message=message,
        user_id=refused.user_id,
        trigger=Trigger.REQUEST,
        trigger_id=refused.request_id,
        triggered_at_ms=message.timestamp_ms,
        k=0,
        refused=f"refused: {refused}",
    )


def _told(request: Request) -> str | None:
    told = [_unread(request.query or "")]
    if request.unknown:
        told.append(f"unknown fields were not looked at: {', '.join(request.unknown)}")
    return "; ".join(filter(None, told)) or None


def _asked(request: Request) -> str:
    """The last turns of a conversation and what is asked now, in this order."""
    return " ".join(turn for turn in (*request.context, request.query or "") if turn.strip())


def _turns(request: Request) -> tuple[str, ...]:
    """The last ones, as many as have room: each counts for itself."""
    if not request.reply or not (request.query or "").strip():
        return ()
    kept: list[str] = []
    room = MAX_QUERY_CHARS
    for turn in (request.query or "", *reversed(request.context)):
        if kept and len(turn) > room:
            break
        kept.append(turn[-room:])
        room -= len(kept[-1])
    return tuple(reversed(kept))


def _unread(query: str) -> str:
    if len(query) <= MAX_QUERY_CHARS:
        return ""
    return f"only the last {MAX_QUERY_CHARS:,} of the query's {len(query):,} characters were read"
