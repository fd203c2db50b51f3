"""Topic values to plain dicts and back, with every check a producer's input must pass.

Knows the fields of every value and what is acceptable in them. Does not know Avro, JSON or
framing (``infra.wire.codec``), nor the record's timestamp (``loop.ingesting.ingest`` checks
the future).

The values that strangers produce (items, events, requests) are checked field by field;
``InvalidField`` names the field, what was found, and what is expected. The values that only
streamrec writes are held by their Avro schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from itertools import islice
from typing import Any, NamedTuple

from streamrec.core import topics
from streamrec.core.events import (
    WITH_ITEM,
    WITH_REPLY,
    DeadLetter,
    Filters,
    Interaction,
    Item,
    Kind,
    Recommendation,
    RecommendedItem,
    ReplyMessage,
    Request,
    Trigger,
    UserUpdate,
)
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release.canary import Canary
from streamrec.core.release.registry import Action, ControlRecord, Pin, RegistryState, Relearn
from streamrec.errors import InvalidField, RefusedRequest
from streamrec.infra.wire.checks import (
    MAX_INT,
    MAX_K,
    Fields,
    finite,
    flag,
    id_text,
    identifier,
    invalid,
    one_of,
    text,
    text_map,
    texts,
    time_ms,
    variants,
    whole,
)
from streamrec.infra.wire.limits import event_words_within, item_within, request_within

MAX_UNKNOWN, MAX_SHOWN = 10, 60
"""Unknown fields that are told, and characters of each."""

_FILTERS = {one.name for one in dataclass_fields(Filters)}
_REQUEST = {one.name for one in dataclass_fields(Request)} - {"unknown"}
_REQUEST |= {"requested_at"}
_TEXTS, _IDS = ("query", "reply_log"), ("reply_id", "conversation_id")
_WORDS = frozenset({*_TEXTS, *_IDS})
_KINDS = {kind.value: kind for kind in Kind}


# --- what strangers send ---------------------------------------------------------------


def event_from(fields: Fields) -> Interaction:
    """An interaction. Raises InvalidField."""
    get = fields.get
    kind = _kind(get("kind"))
    words = _words(fields, kind) if kind not in WITH_ITEM or _WORDS & fields.keys() else {}
    return Interaction(
        identifier(fields, "event_id"),
        identifier(fields, "user_id"),
        identifier(fields, "item_id") if kind in WITH_ITEM else text(fields, "item_id"),
        kind,
        time_ms(fields, "occurred_at"),
        None if (value := get("value")) is None else finite("value", value),
        None if get("impression_id") is None else identifier(fields, "impression_id"),
        None if (position := get("position")) is None else whole("position", position, 0, MAX_INT),
        None if get("recommendation_id") is None else identifier(fields, "recommendation_id"),
        **words,
    )


def _words(fields: Fields, kind: Kind) -> dict[str, str]:
    """Queries and replies: most events have none."""
    found = {name: text(fields, name) for name in _TEXTS if fields.get(name) is not None}
    found |= {name: identifier(fields, name) for name in _IDS if fields.get(name) is not None}
    if kind is Kind.SEARCH and not found.get("query", "").strip():
        raise invalid("query", fields.get("query"), "the words of the search")
    if kind in WITH_REPLY and "reply_id" not in found:
        raise invalid("reply_id", None, "the reply that it is about")
    event_words_within(found)
    return found


def _kind(found: object) -> Kind:
    """In capitals, too: enum symbols of others often are."""
    if isinstance(found, str):
        kind = _KINDS.get(found) or _KINDS.get(found.lower())
        if kind is not None:
            return kind
    raise invalid("kind", found, f"one of {', '.join(_KINDS)}")


def item_from(fields: Fields) -> Item:
    """A catalogue entry; everything but its id may be missing. Raises InvalidField."""
    item = Item(
        identifier(fields, "item_id"),
        text(fields, "title"),
        text(fields, "text"),
        texts(fields, "categories"),
        text_map(fields, "attributes"),
        flag(fields, "available", True),
        variants(fields),
    )
    return item_within(item)


def removed(topic: str, fields: Fields) -> Item:
    """An item that a change log says is gone; without an id where only its key has one.

    Raises InvalidField: the row is no item's.
    """
    if topic != topics.ITEMS:
        raise InvalidField(f"a deletion: only items can be removed, by {topics.ITEMS}")
    known = fields.get("item_id") is not None
    return Item(identifier(fields, "item_id") if known else "", "", available=False)


def request_from(fields: Fields) -> Request:
    """An explicit request. Raises InvalidField, RefusedRequest where it says who it is."""
    try:
        return _request(fields)
    except InvalidField as error:
        request_id, user_id = (_known_id(fields, name) for name in ("request_id", "user_id"))
        if not request_id:
            raise
        raise RefusedRequest(str(error), request_id, user_id) from None


def _known_id(fields: Fields, name: str) -> str:
    with suppress(InvalidField):
        return identifier(fields, name)
    return ""


def _request(fields: Fields) -> Request:
    filters = fields.get("filters")
    if filters is not None and not isinstance(filters, Mapping):
        raise invalid("filters", filters, "an object")
    query, k = fields.get("query"), fields.get("k")
    request = Request(
        request_id=identifier(fields, "request_id"),
        user_id=identifier(fields, "user_id"),
        requested_at_ms=time_ms(fields, "requested_at"),
        k=10 if k is None else whole("k", k, 1, MAX_K),
        query=None if query is None else text(fields, "query"),
        filters=_filters(filters or {}),
        candidates=texts(fields, "candidates", id_text),
        reply=flag(fields, "reply", False),
        context=texts(fields, "context"),
        conversation_id=(
            None if fields.get("conversation_id") is None else identifier(fields, "conversation_id")
        ),
        reasons=_reasons(fields),
        unknown=(*_unknown(fields, _REQUEST), *_unknown(filters or {}, _FILTERS, "filters.")),
    )
    return request_within(request)


def _reasons(fields: Fields) -> str:
    found = text(fields, "reasons")
    if found in ("", "text"):
        return found
    raise invalid("reasons", found, "text, or nothing")


def _unknown(fields: Fields, known: Set[str], at: str = "") -> tuple[str, ...]:
    """The first of them: a misspelt field is told, not refused."""
    found = (f"{at}{name}"[:MAX_SHOWN] for name in fields if name not in known)
    return tuple(islice(found, MAX_UNKNOWN))


def _filters(fields: Fields) -> Filters:
    return Filters(
        texts(fields, "categories", at="filters."),
        texts(fields, "exclude_items", id_text, at="filters."),
        text_map(fields, "attributes", at="filters."),
    )


# --- what we write ourselves -----------------------------------------------------------


def _event_to(value: Interaction) -> Fields:
    return {
        "event_id": value.event_id,
        "user_id": value.user_id,
        "item_id": value.item_id,
        "kind": value.kind.value,
        "occurred_at_ms": value.occurred_at_ms,
        "value": value.value,
        "impression_id": value.impression_id,
        "position": value.position,
        "recommendation_id": value.recommendation_id,
        "query": value.query,
        "reply_id": value.reply_id,
        "conversation_id": value.conversation_id,
        "reply_log": value.reply_log,
    }


def _update_to(value: UserUpdate) -> Fields:
    return {
        "user_id": value.user_id,
        "item_id": value.item_id,
        "kind": value.kind.value,
        "partition": value.partition,
        "offset": value.offset,
        "occurred_at_ms": value.occurred_at_ms,
        "produced_at_ms": value.produced_at_ms,
        "applied_at_ms": value.applied_at_ms,
    }


def _update_from(fields: Fields) -> UserUpdate:
    return UserUpdate(**{**fields, "kind": one_of(Kind, fields, "kind")})


def _adapter_from(fields: Fields) -> ControlRecord:
    state = fields["state"]
    pin, canary, relearn = state["pin"], state["canary"], state["relearn"]
    return ControlRecord(
        **{
            **fields,
            "action": one_of(Action, fields, "action"),
            "state": RegistryState(
                **{
                    **state,
                    "history": tuple(state["history"]),
                    "pin": None if pin is None else Pin(**pin),
                    "canary": None if canary is None else Canary(**canary),
                    "quarantine": tuple(Quarantine(**at) for at in state["quarantine"]),
                    "relearn": None if relearn is None else Relearn(**relearn),
                }
            ),
        }
    )


def _recommendation_from(fields: Fields) -> Recommendation:
    items = tuple(RecommendedItem(**item) for item in fields["items"])
    return Recommendation(
        **{**fields, "items": items, "trigger": one_of(Trigger, fields, "trigger")}
    )


def _reply_from(fields: Fields) -> ReplyMessage:
    named = {name: tuple(fields[name]) for name in ("items", "history_items")}
    return ReplyMessage(**{**fields, **named})


_ATOMS = {str, int, float, bool, type(None)}


def _plain_to(value: Any) -> Fields:
    """``dataclasses.asdict`` in a seventh of its time, sharing what it would copy."""
    return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind in {tuple, list}:
        return kind([_plain(one) for one in value])
    if kind is dict:
        return {key: _plain(one) for key, one in value.items()}
    return _plain_to(value) if is_dataclass(kind) else value


class Shape(NamedTuple):
    """How one topic's values look: name of the Avro schema, Python type, the two conversions."""

    schema: str
    type: type[Any]
    to_fields: Callable[[Any], Fields]
    from_fields: Callable[[Any], Any]
    json: bool = False  # producers may send it as JSON


SHAPES: Mapping[str, Shape] = {
    topics.ITEMS: Shape("item", Item, _plain_to, item_from, json=True),
    topics.EVENTS: Shape("event", Interaction, _event_to, event_from, json=True),
    topics.REQUESTS: Shape("request", Request, _plain_to, request_from, json=True),
    topics.USER_UPDATES: Shape("user_update", UserUpdate, _update_to, _update_from),
    topics.ADAPTERS: Shape("adapter", ControlRecord, _plain_to, _adapter_from),
    topics.RECOMMENDATIONS: Shape(
        "recommendation", Recommendation, _plain_to, _recommendation_from
    ),
    topics.REPLIES: Shape("reply", ReplyMessage, _plain_to, _reply_from),
    topics.DEAD_LETTER: Shape("dead_letter", DeadLetter, _plain_to, lambda f: DeadLetter(**f)),
}
"""By topic short name. Mini-batches are each task's own (``infra.wire.batches``)."""
