"""What can be asked of a gateway: one function each. None of them sends anything.

``HttpCall.repeatable``: it may be sent again when nobody knows whether it arrived. That holds for
whatever only looks; for events, since each has an id before it is sent first, and an id counts
once; for items, of which the newest counts. It does not hold for changes of what is released: two
rollbacks go back two generations.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from streamrec.client.results import (
    FallbackList,
    Json,
    LineVerdict,
    PinState,
    SendOutcome,
    ServedList,
    SwapOutcome,
    UserHistory,
)

T_co = TypeVar("T_co", covariant=True)
NDJSON = "application/x-ndjson"
CHUNK = 500
"""Events or items in one request."""

SLACK_S = 5.0
"""A gateway that was told how long to wait has so much more to say that it waited."""


@dataclass(frozen=True, slots=True)
class HttpCall(Generic[T_co]):
    """One request, and how its answer is read.

    ``timeout_s``: at least so long is waited for the answer. ``verdicts``: a refusal that has a
    verdict for each line is an answer.
    """

    method: str
    path: str
    read: Callable[[Any], T_co]
    params: Mapping[str, str | int] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = "application/json"
    repeatable: bool = True
    timeout_s: float = 0.0
    verdicts: bool = False


def recommend(
    user_id: str,
    k: int = 10,
    *,
    query: str = "",
    categories: Sequence[str] = (),
    exclude_items: Sequence[str] = (),
    candidates: Sequence[str] = (),
    wait_s: float = 2.0,
) -> HttpCall[ServedList]:
    """A list for a user, by the generation that serves now; ``wait_s``: at most so long.

    Raises CallRefused: 422 for a request that cannot be answered, 504 when nobody did in time;
    GatewayUnreachable.
    """
    body: dict[str, Any] = {"user_id": user_id, "k": k, "wait_s": wait_s}
    if query:
        body["query"] = query
    if categories or exclude_items:
        body["filters"] = {"categories": [*categories], "exclude_items": [*exclude_items]}
    if candidates:
        body["candidates"] = [*candidates]
    return _post("/v1/recommendations", body, ServedList.of, True, wait_s + SLACK_S)


def why(recommendation_id: str) -> HttpCall[Json]:
    """What an answer was made from, item by item: as ``streamrec why --json``."""
    return _get(f"/v1/recommendations/{_id(recommendation_id)}", _as_it_is)


def user(user_id: str) -> HttpCall[UserHistory]:
    """What is known of a user."""
    return _get(f"/v1/users/{_id(user_id)}", UserHistory.of)


def users(limit: int = 50) -> HttpCall[Json]:
    """Users who were active lately."""
    return _get("/v1/users", _as_it_is, limit=limit)


def last_list(user_id: str) -> HttpCall[ServedList]:
    """The list that a user was given last. Raises CallRefused (404): none yet."""
    return _get(f"/v1/users/{_id(user_id)}/recommendations", ServedList.of)


def lists(user_id: str) -> HttpCall[ServedList]:
    """Of a stream: the last list of a user, then each as it is made."""
    return _get(f"/v1/users/{_id(user_id)}/stream", ServedList.of)


def similar(item_id: str, k: int = 10) -> HttpCall[FallbackList]:
    """Items like this one."""
    return _get(f"/v1/similar/{_id(item_id)}", FallbackList.of, k=k)


def popular(k: int = 10, category: str = "") -> HttpCall[FallbackList]:
    """What most people take now."""
    return _get("/v1/popular", FallbackList.of, k=k, **_given(category=category))


def latest(k: int = 10, category: str = "") -> HttpCall[FallbackList]:
    """What came into the catalogue last."""
    return _get("/v1/latest", FallbackList.of, k=k, **_given(category=category))


def overview() -> HttpCall[Json]:
    """How the loop does: what the gateway's page shows."""
    return _get("/v1/overview", _as_it_is)


def generations() -> HttpCall[Json]:
    """Generations as a timeline."""
    return _get("/v1/generations", _as_it_is)


def registry() -> HttpCall[Json]:
    """Admin: every generation, and what became of it, as ``streamrec adapters list --json``."""
    return _get("/v1/admin/generations", _as_it_is)


def generation(name: str) -> HttpCall[Json]:
    """Admin: one generation, its gate and its lineage. Raises CallRefused (404)."""
    return _get(f"/v1/admin/generations/{_id(name)}", _as_it_is)


def rollback(why: str, to: str = "") -> HttpCall[SwapOutcome]:
    """Admin: the champion before answers again, or the former one that ``to`` names.

    Raises CallRefused: 404 nobody knows it, 409 somebody acted first; then nothing was changed.
    """
    return _change("/v1/admin/rollback", SwapOutcome.of, why=why, **_given(to=to))


def pin(why: str, generation: str = "") -> HttpCall[PinState]:
    """Admin: the champion stays; ``generation``: only if it is this one. Raises CallRefused."""
    return _change("/v1/admin/pin", PinState.of, why=why, **_given(generation=generation))


def unpin(why: str) -> HttpCall[PinState]:
    """Admin: new generations are activated again. Raises CallRefused."""
    return _change("/v1/admin/unpin", PinState.of, why=why)


def dead_letters(code: str = "", limit: int = 20) -> HttpCall[Json]:
    """Admin: what was refused and why, newest first."""
    return _get("/v1/admin/dead-letters", _as_it_is, limit=limit, **_given(code=code))


def resend(why: str, *, ids: Sequence[str] = (), code: str = "") -> HttpCall[Json]:
    """Admin: refused messages go to their topic again: these, or all of a code."""
    which: dict[str, Any] = {"ids": [*ids]} if ids else {"code": code}
    return _change("/v1/admin/dead-letters/resend", _as_it_is, why=why, **which)


def identified(events: Iterable[Json]) -> list[dict[str, Any]]:
    """Events that each have an id: those without one are given one, once and for all tries."""
    return [{"event_id": uuid.uuid4().hex, **event} for event in events]


def sends(path: str, records: Iterable[Json]) -> Iterator[HttpCall[SendOutcome]]:
    """Requests of ``CHUNK`` records each."""
    left, first = iter(records), 0
    while chunk := list(islice(left, CHUNK)):
        body = b"".join(json.dumps(dict(one)).encode() + b"\n" for one in chunk)
        read = _verdicts_from(first)
        yield HttpCall("POST", path, read, body=body, content_type=NDJSON, verdicts=True)
        first += len(chunk)


def _verdicts_from(first: int) -> Callable[[Json], SendOutcome]:
    def read(fields: Json) -> SendOutcome:
        return SendOutcome(tuple(_verdict(one, first) for one in fields["verdicts"]))

    return read


def _verdict(fields: Json, first: int) -> LineVerdict:
    return LineVerdict(
        int(fields["line"]) + first,
        fields["status"] == "accepted",
        str(fields.get("id") or ""),
        str(fields.get("code") or ""),
        str(fields.get("reason") or ""),
        fields,
    )


def _get(path: str, read: Callable[[Json], T_co], **params: str | int) -> HttpCall[T_co]:
    return HttpCall("GET", path, read, params)


def _post(
    path: str, body: Json, read: Callable[[Json], T_co], repeatable: bool, timeout_s: float
) -> HttpCall[T_co]:
    data = json.dumps(body).encode()
    return HttpCall("POST", path, read, body=data, repeatable=repeatable, timeout_s=timeout_s)


CHANGE_S = 60.0
"""A change is told of when every serving worker has confirmed it, or was silent for long."""


def _change(path: str, read: Callable[[Json], T_co], **body: Any) -> HttpCall[T_co]:
    return _post(path, body, read, False, CHANGE_S)


def _as_it_is(fields: Json) -> Json:
    return fields


def _given(**texts: str) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}


def _id(text: str) -> str:
    """One part of a path, whatever is in it. Raises ValueError where a path cannot hold it."""
    if text in ("", ".", ".."):
        raise ValueError(f"{text!r} is no id")
    return quote(text, safe="")
