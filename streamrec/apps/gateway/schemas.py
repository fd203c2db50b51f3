"""What is asked and answered, as OpenAPI has it. Limits of fields are the topics' own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from streamrec.core import topics
from streamrec.core.events import NOT_FROM_OUTSIDE, WITH_ITEM, Kind
from streamrec.infra.wire.checks import MAX_ID_BYTES, MAX_INT, MAX_K
from streamrec.infra.wire.limits import (
    MAX_LABEL_CHARS,
    MAX_LABELS,
    MAX_QUERY_CHARS,
    MAX_TEXT_CHARS,
    MAX_TITLE_CHARS,
)

MAX_WAIT_S = 30.0
MAX_REPLY_WAIT_S = 8.0
"""Longer than words take; who wants them as they come has the stream."""


def _whole(found: object) -> object:
    """In JSON, 5.0 is a whole number as 5 is."""
    return int(found) if isinstance(found, float) and found.is_integer() else found


Whole = Annotated[int, BeforeValidator(_whole)]

Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_BYTES)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AskedFilters(_Body):
    """An item that fails one is never returned."""

    categories: list[str] = Field(default=[], description="any of these, when given")
    exclude_items: list[Id] = []
    attributes: dict[str, str] = Field(default={}, description="all of these, exactly")


class AskedList(_Body):
    """A wish for recommendations."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_id": "ann", "k": 5, "query": "a quiet film"}]}
    )

    user_id: Id = Field(description="who is asking; may be unknown")
    k: Whole = Field(10, ge=1, le=MAX_K, description="items wanted")
    query: str | None = Field(None, description="text the items should match")
    filters: AskedFilters = AskedFilters()
    candidates: list[Id] = Field([], description="rank only these, when given")
    reply: bool = Field(False, description="whether words about the list are wanted, too")
    conversation_id: Id | None = Field(None, description="what was asked before in it is known")
    reasons: Literal["", "text"] = Field("", description="text: a sentence beside each item")
    wait_s: float = Field(2.0, ge=0, le=MAX_WAIT_S, description="seconds to wait for the answer")


class AnsweredItem(BaseModel):
    item_id: str
    title: str
    probability: float
    propensity: float
    reason: str
    reason_text: str | None = Field(None, description="where asked for, and one is true")
    variant_id: str | None
    variant_propensity: float


class AnsweredList(BaseModel):
    """A ranked list and where it came from."""

    recommendation_id: str
    user_id: str
    items: list[AnsweredItem]
    generation: str
    trained_through: dict[str, int]
    trigger: str
    trigger_id: str
    triggered_at_ms: int
    state_position: int
    served_at_ms: int
    worker_id: str
    reply: str | None
    conversation_id: str | None
    understood: str | None
    reply_id: str | None = Field(None, description="of /v1/replies, where words were asked for")


class AnsweredReply(BaseModel):
    """What is said about a list."""

    reply_id: str
    user_id: str
    recommendation_id: str
    trigger_id: str
    conversation_id: str | None
    sequence: int
    final: bool
    text: str
    items: list[str] = Field(description="of the list, those that the text names")
    history_items: list[str] = Field(description="of the user's history, likewise")
    generation: str | None = Field(description="who wrote it; null: a template")
    fallback: str | None = Field(description="why a template speaks")
    plan: str | None
    understood: str | None
    triggered_at_ms: int
    written_at_ms: int
    worker_id: str
    held: bool = Field(description="whether other words wait for a person to look at them")


class Health(BaseModel):
    status: str
    worker_id: str


_ID = {"type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES // 4}
"""A character has four bytes at most."""


def _when(kinds: Sequence[Kind], needed: str) -> Mapping[str, Any]:
    enum = {"enum": [kind.value for kind in kinds]}
    return {"properties": {"kind": enum}, "required": [needed]}


LINES: Mapping[str, Mapping[str, Any]] = {
    topics.EVENTS: {
        "type": "object",
        "required": ["user_id", "kind", "occurred_at"],
        "properties": {
            "event_id": _ID | {"description": "sent again, it counts once; else made of the line"},
            "user_id": _ID,
            "item_id": _ID,
            "kind": {"enum": [kind.value for kind in Kind if kind not in NOT_FROM_OUTSIDE]},
            "occurred_at": {
                "type": "string",
                "format": "date-time",
                "description": "or a number: seconds or milliseconds since 1970",
            },
            "value": {"type": "number", "description": "play fraction, or a rating"},
            "impression_id": _ID,
            "position": {"type": "integer", "minimum": 0, "maximum": MAX_INT},
            "recommendation_id": _ID,
            "query": {
                "type": "string",
                "pattern": r"\S",
                "maxLength": MAX_QUERY_CHARS,
                "description": "the words that led to it; of a search, those it asked with",
            },
            "reply_id": _ID | {"description": "the reply that is accepted, rejected, or led to it"},
            "conversation_id": _ID,
        },
        "anyOf": [
            _when(sorted(WITH_ITEM), "item_id"),
            _when([Kind.SEARCH], "query"),
            _when([Kind.ACCEPT, Kind.REJECT], "reply_id"),
        ],
        "examples": [
            {
                "event_id": "1",
                "user_id": "ann",
                "item_id": "42",
                "kind": "click",
                "occurred_at": "2026-03-01T12:00:00Z",
            }
        ],
    },
    topics.ITEMS: {
        "type": "object",
        "required": ["item_id"],
        "properties": {
            "item_id": _ID,
            "title": {"type": "string", "maxLength": MAX_TITLE_CHARS},
            "text": {"type": "string", "maxLength": MAX_TEXT_CHARS},
            "categories": {
                "type": "array",
                "items": {"type": "string", "maxLength": MAX_LABEL_CHARS},
                "maxItems": MAX_LABELS,
            },
            "attributes": {
                "type": "object",
                "additionalProperties": {"type": "string", "maxLength": MAX_LABEL_CHARS},
                "maxProperties": MAX_LABELS,
            },
            "available": {"type": "boolean"},
        },
        "examples": [
            {
                "item_id": "42",
                "title": "The Third Man",
                "text": "Vienna, 1949",
                "categories": ["Thriller"],
                "attributes": {"language": "en"},
                "available": True,
            }
        ],
    },
}
"""JSON Schema of one line; more fields, and other forms of these, may be taken as well."""


class SendVerdict(BaseModel):
    """What became of one line. Accepted: ``partition`` and ``offset`` say where Kafka has it."""

    line: int = Field(ge=1)
    status: Literal["accepted", "refused"]
    topic: str
    id: str | None = None
    partition: int | None = None
    offset: int | None = None
    code: str | None = None
    reason: str | None = None
    field: str | None = None


class SentLines(BaseModel):
    accepted: int
    refused: int
    verdicts: list[SendVerdict]


class ListedEvent(BaseModel):
    item_id: str
    title: str
    action: str
    at_ms: int


class KnownUser(BaseModel):
    """``history``: accepted items, newest first. Times are event time."""

    user_id: str
    history: list[ListedEvent]
    views: int
    accepts: int
    first_seen_ms: int | None
    last_seen_ms: int | None


class ActiveUser(BaseModel):
    user_id: str
    last_seen_ms: int


class ActiveUsers(BaseModel):
    """The latest first."""

    users: list[ActiveUser]


class ShelfItem(BaseModel):
    item_id: str
    title: str
    categories: list[str]


class FallbackItems(BaseModel):
    """``source``: what the first of them was picked by. ``stale``: Redis does not answer; this is
    what was known before."""

    items: list[ShelfItem]
    source: str
    stale: bool


class WhyAnswer(BaseModel):
    """What an answer was made from, as ``streamrec why --json``."""

    model_config = ConfigDict(extra="allow")

    recommendation_id: str
    problem: str
