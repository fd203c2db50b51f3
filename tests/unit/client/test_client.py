"""The client of the gateway, sync and async alike: what it sends, tries again, and raises."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from streamrec import client
from streamrec.client import (
    AsyncStreamrecClient,
    CallRefused,
    GatewayUnreachable,
    LinesRefused,
    ServedItem,
    StreamrecClient,
    calls,
)
from streamrec.client.stream import EventLines

LIST = {
    "recommendation_id": "request:1",
    "user_id": "ann",
    "generation": "g000001-aaaaaaaa",
    "items": [{"item_id": "42", "title": "Alien", "probability": 0.25, "reason": "text", "new": 1}],
    "served_at_ms": 1_767_323_045_000,
}
SWAP = {"generation": "g000001-aaaaaaaa", "revision": 7, "confirmed_ms": {"serving-1": 12}}

Handler = Callable[[httpx.Request], httpx.Response]


class Gateway:
    """Answers by turns, the last for ever; remembers what it was asked, and every pause."""

    def __init__(self, *answers: httpx.Response | Exception | Handler) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.pauses: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


class Caller:
    """One of the clients, called the same way."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, gateway: Gateway, name: str, *given: Any, **named: Any) -> Any:
        how: dict[str, Any] = {"transport": httpx.MockTransport(gateway), "retries": 2}
        if self.kind == "sync":
            with StreamrecClient("http://gw", "sr_k", sleep=gateway.pauses.append, **how) as ours:
                return getattr(ours, name)(*given, **named)
        return asyncio.run(self._awaited(gateway, how, name, given, named))

    async def _awaited(self, gateway: Gateway, how: Any, name: str, given: Any, named: Any) -> Any:
        async def sleep(pause_s: float) -> None:
            gateway.pauses.append(pause_s)

        async with AsyncStreamrecClient("http://gw", "sr_k", sleep=sleep, **how) as ours:
            return await getattr(ours, name)(*given, **named)

    def stream(self, gateway: Gateway, count: int) -> list[str]:
        """The ids of the first lists of a stream."""
        how: dict[str, Any] = {"transport": httpx.MockTransport(gateway), "retries": 2}
        if self.kind == "sync":
            with StreamrecClient("http://gw", sleep=gateway.pauses.append, **how) as ours:
                lists = ours.stream("ann")
                return [next(lists).recommendation_id for _ in range(count)]
        return asyncio.run(self._streamed(gateway, how, count))

    async def _streamed(self, gateway: Gateway, how: Any, count: int) -> list[str]:
        async def sleep(pause_s: float) -> None:
            gateway.pauses.append(pause_s)

        async with AsyncStreamrecClient("http://gw", sleep=sleep, **how) as ours:
            lists = ours.stream("ann")
            found = [(await anext(lists)).recommendation_id for _ in range(count)]
            await lists.aclose()  # type: ignore[attr-defined]
            return found


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Caller:
    return Caller(request.param)


def answer(status: int = 200, fields: Any = LIST, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=fields, headers=headers)


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    fields = {"type": f"urn:{code}", "title": "No", "status": status, "detail": "why", "code": code}
    return httpx.Response(status, json=fields, headers={"X-Request-Id": "r1", **headers})


def accepting(request: httpx.Request) -> httpx.Response:
    lines = [json.loads(line) for line in request.content.splitlines()]
    verdicts = [
        {"line": at, "status": "accepted", "id": one.get("event_id")}
        for at, one in enumerate(lines, 1)
    ]
    return answer(fields={"accepted": len(lines), "refused": 0, "verdicts": verdicts})


def test_a_list_is_asked_for_and_typed(call: Caller) -> None:
    gateway = Gateway(answer())
    found = call(gateway, "recommend", "ann", 5, query="quiet", categories=["drama"], wait_s=1.0)
    assert found.items == (ServedItem("42", "Alien", 0.25, "text"),)
    assert (found.generation, found.raw) == (LIST["generation"], LIST)
    (request,) = gateway.asked
    assert request.headers["Authorization"] == "Bearer sr_k"
    assert json.loads(request.content) == {
        "user_id": "ann",
        "k": 5,
        "wait_s": 1.0,
        "query": "quiet",
        "filters": {"categories": ["drama"], "exclude_items": []},
    }


def test_an_id_is_one_part_of_a_path(call: Caller) -> None:
    gateway = Gateway(answer())
    call(gateway, "last_list", "a/../b?c=%2f ü")
    assert gateway.asked[0].url.raw_path == (
        b"/v1/users/a%2F..%2Fb%3Fc%3D%252f%20%C3%BC/recommendations"
    )
    with pytest.raises(ValueError, match="no id"):
        call(gateway, "last_list", "..")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again(call: Caller, status: int) -> None:
    gateway = Gateway(problem(status, "soon"), httpx.ConnectError("refused"), answer())
    assert call(gateway, "recommend", "ann").recommendation_id == "request:1"
    assert len(gateway.pauses) == 2
    assert 0.05 <= gateway.pauses[0] <= 0.1 < gateway.pauses[1] * 2


def test_retry_after_is_kept(call: Caller) -> None:
    gateway = Gateway(problem(429, "too-many", **{"Retry-After": "7"}), answer())
    call(gateway, "recommend", "ann")
    assert gateway.pauses == [7.0]
    far = Gateway(problem(429, "too-many", **{"Retry-After": "3600"}), answer())
    with pytest.raises(CallRefused):
        call(far, "recommend", "ann")
    assert far.pauses == []


def test_it_is_given_up_in_the_end_and_says_what_the_gateway_said(call: Caller) -> None:
    gateway = Gateway(problem(503, "unavailable"))
    with pytest.raises(CallRefused, match="503 unavailable: why") as raised:
        call(gateway, "popular")
    error = raised.value
    assert (error.status, error.code, error.detail) == (503, "unavailable", "why")
    assert (error.request_id, error.problem["type"]) == ("r1", "urn:unavailable")
    assert len(gateway.asked) == 3
    away = Gateway(httpx.ConnectError("refused"))
    with pytest.raises(GatewayUnreachable, match="GET /v1/popular: refused"):
        call(away, "popular")
    assert len(away.asked) == 3


def test_a_gateway_that_waited_as_told_is_not_made_to_wait_again(call: Caller) -> None:
    gateway = Gateway(problem(504, "no-answer"))
    with pytest.raises(CallRefused, match="no-answer"):
        call(gateway, "recommend", "ann", wait_s=0.1)
    assert (len(gateway.asked), gateway.pauses) == (1, [])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
def test_a_final_answer_is_final(call: Caller, status: int) -> None:
    gateway = Gateway(problem(status, "no"))
    with pytest.raises(CallRefused):
        call(gateway, "recommend", "ann")
    assert len(gateway.asked) == 1


def test_a_proxys_page_is_a_refusal_too(call: Caller) -> None:
    gateway = Gateway(httpx.Response(413, text="<html>too large</html>"))
    with pytest.raises(CallRefused, match="413") as raised:
        call(gateway, "recommend", "ann")
    assert "too large" in raised.value.detail


def test_what_is_no_gateway_is_told(call: Caller) -> None:
    for strange in (httpx.Response(200, text="hello"), answer(fields={"items": []})):
        with pytest.raises(GatewayUnreachable, match="none of a gateway's"):
            call(Gateway(strange), "recommend", "ann")


def test_a_rollback_is_never_sent_twice_unless_it_certainly_did_not_arrive(call: Caller) -> None:
    for failure in (problem(503, "x"), problem(504, "x"), httpx.ReadTimeout("silence")):
        gateway = Gateway(failure, answer(fields=SWAP))
        with pytest.raises((CallRefused, GatewayUnreachable)):
            call(gateway, "rollback", "odd lists")
        assert len(gateway.asked) == 1
    for before in (httpx.ConnectError("refused"), problem(429, "x")):
        gateway = Gateway(before, answer(fields=SWAP))
        found = call(gateway, "rollback", "odd lists", to="g000001-aaaaaaaa")
        assert found.complete
        assert (found.revision, found.confirmed_ms) == (7, {"serving-1": 12})
        assert json.loads(gateway.asked[1].content) == {
            "why": "odd lists",
            "to": "g000001-aaaaaaaa",
        }


def test_events_keep_their_ids_however_often_they_are_sent(call: Caller) -> None:
    gateway = Gateway(httpx.ReadTimeout("silence"), problem(503, "x"), accepting)
    outcome = call(gateway, "send_events", [{"user_id": "ann"}, {"event_id": "mine"}])
    bodies = {request.content for request in gateway.asked}
    assert (len(gateway.asked), len(bodies)) == (3, 1)
    first, second = (json.loads(line) for line in bodies.pop().splitlines())
    assert (len(first["event_id"]), second["event_id"]) == (32, "mine")
    assert [one.id for one in outcome.verdicts] == [first["event_id"], "mine"]
    assert outcome.accepted == 2


def test_many_events_are_sent_in_few_requests_and_counted_through(call: Caller) -> None:
    gateway = Gateway(accepting)
    outcome = call(gateway, "send_events", ({"n": n} for n in range(2 * calls.CHUNK + 1)))
    assert len(gateway.asked) == 3
    assert [one.line for one in outcome.verdicts] == list(range(1, 2 * calls.CHUNK + 2))
    assert call(gateway, "load_items", []).verdicts == ()


def test_what_was_not_sent_is_handed_back_with_its_ids(call: Caller) -> None:
    gateway = Gateway(accepting, problem(413, "too-large"))
    with pytest.raises(CallRefused) as raised:
        call(gateway, "send_events", [{"n": n} for n in range(calls.CHUNK + 3)])
    assert [one["n"] for one in raised.value.unsent] == [500, 501, 502]
    ids = [one["event_id"] for one in raised.value.unsent]
    again = Gateway(accepting)
    assert [one.id for one in call(again, "send_events", raised.value.unsent).verdicts] == ids


def test_refused_lines_are_told_aloud_unless_one_looks_oneself(call: Caller) -> None:
    verdicts = [
        {"line": 1, "status": "accepted", "id": "e1"},
        {"line": 2, "status": "refused", "id": "e2", "reason": "kind: 'klick'", "field": "kind"},
    ]
    fields = {"accepted": 1, "refused": 1, "verdicts": verdicts}
    for reply in (answer(fields=fields), answer(422, fields)):
        with pytest.raises(LinesRefused, match="1 of 2 were refused; the first, 2: kind") as raised:
            call(Gateway(reply), "send_events", [{"event_id": "e1"}, {"event_id": "e2"}])
        assert raised.value.outcome.accepted == 1
        outcome = call(Gateway(reply), "load_items", [{}, {}], strict=False)
        assert [one.raw["field"] for one in outcome.refused] == ["kind"]
    with pytest.raises(CallRefused, match="invalid"):
        call(Gateway(problem(422, "invalid")), "send_events", [{}], strict=False)


def event(number: int) -> str:
    return f"event: recommendation\ndata: {json.dumps(LIST | {'recommendation_id': number})}\n\n"


def test_a_stream_is_taken_up_again(call: Caller) -> None:
    def streamed(text: str) -> httpx.Response:
        return httpx.Response(200, text=text)

    gateway = Gateway(
        streamed(": heartbeat\n\n" + event(1) + "event: other\ndata: {}\n\n" + event(2)),
        httpx.ConnectError("refused"),
        problem(503, "ending"),
        streamed(event(2) + event(3)),
    )
    assert call.stream(gateway, 3) == ["1", "2", "3"]
    assert {request.headers["Accept"] for request in gateway.asked} == {"text/event-stream"}
    assert gateway.pauses[0] == 1.0
    with pytest.raises(CallRefused, match="foreign-user"):
        call.stream(Gateway(problem(403, "foreign-user")), 1)
    with pytest.raises(GatewayUnreachable):
        call.stream(Gateway(httpx.ConnectError("refused")), 1)


def test_lines_make_events() -> None:
    lines = EventLines()
    assert [lines.take(line) for line in ("event: recommendation", "data: 1", "data: 2", "")] == [
        "",
        "",
        "",
        "1\n2",
    ]
    assert [lines.take(line) for line in ("data: 3", "", ": heartbeat", "id: 7", "")] == [""] * 5


def test_a_key_with_a_line_break_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ValueError, match="line break") as raised:
        StreamrecClient(api_key="sr_secret\n")
    assert "sr_secret" not in str(raised.value)


def test_both_clients_have_the_same_calls_and_every_call_has_a_client() -> None:
    def public(kind: type) -> dict[str, list[str]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {n: list(inspect.signature(f).parameters) for n, f in found if n[0] != "_"}

    assert public(StreamrecClient) == public(AsyncStreamrecClient)
    made = {
        name
        for name, function in inspect.getmembers(calls, inspect.isfunction)
        if "HttpCall" in str(inspect.signature(function).return_annotation) and name[0] != "_"
    }
    assert made - {"sends", "lists"} <= set(public(StreamrecClient))
    assert all(getattr(StreamrecClient, name).__doc__ for name in made - {"sends", "lists"})
    assert set(client.__all__) <= set(dir(client))
