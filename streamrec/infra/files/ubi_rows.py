"""User Behavior Insights, the open format of searches and what came of them, as our events.

Knows its queries and events (https://github.com/o19s/ubi, 1.0 to 1.3), alone or as a search
engine's index exports them (``_source``). Which fields ours have is ``infra.wire.values``'.

- A query is a ``search``, then a view of each object it returned: one impression, named by its id.
- An event is what its ``action_name`` means (``ACTIONS``, ``--kind``), done with its object. It
  belongs to the query it names when that came before it: then it is of that query's user, and
  carries its words.
- An event that names no object, such as a login, says nothing about items: it is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from streamrec.core.events import Kind
from streamrec.errors import InvalidField, Refused
from streamrec.infra.files.cells import TimeForm, as_json, identity
from streamrec.infra.wire.json_text import parsed_json
from streamrec.loop.ingesting.send import InputRow

ACTIONS = {
    "impression": Kind.VIEW,
    "view": Kind.VIEW,
    "click": Kind.CLICK,
    "click_through": Kind.CLICK,
    "watch": Kind.CLICK,
    "add_to_cart": Kind.LIKE,
    "like": Kind.LIKE,
    "dislike": Kind.DISLIKE,
    "purchase": Kind.PURCHASE,
}
LEFT_OUT = "-"
QUERIES_KEPT = 200_000
"""Of a file: an event may name one of so many last ones."""
HITS_KEPT = 100
"""Of what a query returned: nobody has looked further."""


class _UbiQuery(NamedTuple):
    user_id: str
    query: str


class UbiRows:
    """One file's rows."""

    def __init__(self, kinds: Mapping[str, str], time: TimeForm) -> None:
        """``kinds``: what an action is, beside ``ACTIONS``; ``LEFT_OUT``: nothing."""
        self._kinds = {name: kind.value for name, kind in ACTIONS.items()} | dict(kinds)
        self._time = time
        self._searches: dict[str, _UbiQuery] = {}
        self._alone = 0  # events of a query that the file did not have before them

    def notes(self) -> list[str]:
        """Of all that has been read: what somebody may not have meant."""
        if not self._alone:
            return []
        return [
            f"{self._alone:,} events name a query that was not read before them: they go without "
            "its words; cat queries.ndjson events.ndjson | streamrec events send - --format ubi"
        ]

    def mapped(self, rows: Iterable[InputRow]) -> Iterator[InputRow]:
        """Each line's events; a line that is no UBI is refused, with the reason."""
        for row in rows:
            if not isinstance(row.found, bytes):
                yield row
                continue
            try:
                fields = parsed_json(row.found)
                said = _mapping(fields, "_source") or fields
                events = list(self._query(said) if _is_query(said) else self._event(said))
            except Refused as error:
                yield row._replace(found=error)
                continue
            for event in events:
                yield row._replace(found=as_json(event))
            if not events:
                yield row._replace(found=None)

    def _query(self, said: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        query_id = identity("query_id", said.get("query_id"))
        user_id, at_ms = _user(said), self._time.ms("timestamp", said.get("timestamp"))
        query = _words(said)
        self._remember(query_id, _UbiQuery(user_id, query))
        common = {"user_id": user_id, "occurred_at_ms": at_ms} | ({"query": query} if query else {})
        if query:
            yield {"event_id": f"{query_id}/search", "kind": Kind.SEARCH.value, **common}
        for position, found in enumerate(islice(_hits(said), HITS_KEPT)):
            item_id = identity("query_response_hit_ids", found)
            yield {
                "event_id": f"{query_id}/{item_id}/shown",
                "kind": Kind.VIEW.value,
                "item_id": item_id,
                "impression_id": query_id,
                "position": position,
                **common,
            }

    def _event(self, said: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        action = said.get("action_name")
        if not isinstance(action, str) or not action:
            raise InvalidField(
                "it has neither action_name, as an event of UBI has, nor user_query, as a query has"
            )
        attributes = _mapping(said, "event_attributes")
        item_id = _object(attributes)
        kind = self._kinds.get(action, LEFT_OUT if item_id is None else None)
        if kind is None:
            raise InvalidField(
                f"action_name is {action!r}; known are {', '.join(self._kinds)}; --kind "
                f"{action}=click says what it is, {action}=- leaves it out"
            )
        if kind == LEFT_OUT:
            return
        if item_id is None:
            raise InvalidField(f"{action!r} names no event_attributes.object.object_id")
        query_id = said.get("query_id")
        search = self._searches.get(query_id) if isinstance(query_id, str) else None
        event = {
            "kind": kind,
            "item_id": item_id,
            "user_id": search.user_id if search else _user(said),
            "occurred_at_ms": self._time.ms("timestamp", said.get("timestamp")),
        }
        shown = kind == Kind.VIEW.value
        if search is not None and search.query:
            event["query"] = search.query
        if query_id and (search is not None or shown):
            event["impression_id"] = identity("query_id", query_id)
        if query_id and shown:  # the same view as the query's own, if it was told
            event["event_id"] = f"{query_id}/{item_id}/shown"
        self._alone += query_id is not None and search is None
        position = _position(attributes)
        yield event if position is None else event | {"position": position}

    def _remember(self, query_id: str, search: _UbiQuery) -> None:
        self._searches[query_id] = search
        if len(self._searches) > QUERIES_KEPT:
            del self._searches[next(iter(self._searches))]


def _is_query(said: Mapping[str, Any]) -> bool:
    return "action_name" not in said and ("user_query" in said or "query_id" in said)


def _user(said: Mapping[str, Any]) -> str:
    """Who it was: ``user_id``, else ``client_id``. Raises InvalidField."""
    inner = _mapping(said, "event_attributes")
    for name, held in (("user_id", said), ("user_id", inner), ("client_id", said)):
        if held.get(name) not in (None, ""):
            return identity(name, held[name])
    raise InvalidField("it has neither user_id nor client_id: nobody to learn it of")


def _words(said: Mapping[str, Any]) -> str:
    found = said.get("user_query") or ""
    if not isinstance(found, str):
        raise InvalidField(f"user_query is {found!r}; expected a text")
    return found.strip()


def _hits(said: Mapping[str, Any]) -> list[Any]:
    """Ids of what was returned, by whatever name the versions had."""
    for name in ("query_response_hit_ids", "query_response_object_ids",
                 "query_response_objects_ids"):  # fmt: skip
        found = said.get(name)
        if found is not None:
            if not isinstance(found, list):
                raise InvalidField(f"{name} is {found!r}; expected a list")
            return list(dict.fromkeys(found))
    return []


def _object(attributes: Mapping[str, Any]) -> str | None:
    found = _mapping(attributes, "object").get("object_id")
    return None if found in (None, "") else identity("object_id", found)


def _position(attributes: Mapping[str, Any]) -> int | None:
    """From 0; UBI's ``ordinal`` counts from 1."""
    found = _mapping(attributes, "position").get("ordinal")
    if isinstance(found, bool) or not isinstance(found, int):
        return None
    return max(0, found - 1)


def _mapping(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = fields.get(name)
    return found if isinstance(found, Mapping) else {}
