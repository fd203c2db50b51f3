"""``AsyncStreamrecClient``: every function of ``calls`` as a method that is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from streamrec.client import calls
from streamrec.client.calls import HttpCall
from streamrec.client.connection import (
    RECONNECT_S,
    described,
    joined,
    options,
    request_of,
    stream_request,
    unsent,
)
from streamrec.client.results import Json, SendOutcome, ServedList
from streamrec.client.retries import RetryPlan, is_answer, read
from streamrec.client.stream import EventLines

P = ParamSpec("P")
T = TypeVar("T")
Record = dict[str, Any]


def _method(
    make: Callable[P, HttpCall[T]],
) -> Callable[Concatenate[AsyncStreamrecClient, P], Awaitable[T]]:
    def ask(self: AsyncStreamrecClient, /, *given: P.args, **named: P.kwargs) -> Awaitable[T]:
        return self.ask(make(*given, **named))

    return described(ask, make)


class AsyncStreamrecClient:
    """Talks to one gateway; for one event loop; close it, or use it as a context manager.

    Calls raise CallRefused (the gateway said no: status, code, detail) and GatewayUnreachable.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8080",
        api_key: str = "",
        *,
        timeout_s: float = 10.0,
        retries: int = 4,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``retries``: how often a call is tried again. Raises ValueError: that is no key."""
        self._http = httpx.AsyncClient(**options(base_url, api_key, timeout_s), transport=transport)
        self._timeout_s, self._retries, self._sleep = timeout_s, retries, sleep

    recommend = _method(calls.recommend)
    why = _method(calls.why)
    user = _method(calls.user)
    users = _method(calls.users)
    last_list = _method(calls.last_list)
    similar = _method(calls.similar)
    popular = _method(calls.popular)
    latest = _method(calls.latest)
    overview = _method(calls.overview)
    generations = _method(calls.generations)
    registry = _method(calls.registry)
    generation = _method(calls.generation)
    rollback = _method(calls.rollback)
    pin = _method(calls.pin)
    unpin = _method(calls.unpin)
    dead_letters = _method(calls.dead_letters)
    resend = _method(calls.resend)

    async def send_events(self, events: Iterable[Json], *, strict: bool = True) -> SendOutcome:
        """Send events; each is given an ``event_id`` if it has none, before the first try.

        Raises LinesRefused where ``strict`` and one was refused; CallRefused,
        GatewayUnreachable: ``error.unsent`` are those that no verdict has come for.
        """
        return await self._send("/v1/events", calls.identified(events), strict)

    async def load_items(self, items: Iterable[Json], *, strict: bool = True) -> SendOutcome:
        """Add items to the catalogue, or change them. Raises as ``send_events``."""
        return await self._send("/v1/items", [dict(item) for item in items], strict)

    async def stream(self, user_id: str) -> AsyncIterator[ServedList]:
        """The last list of a user, then each as it is made, for as long as you take them.

        A connection that breaks is made again; of the lists made meanwhile the last one comes.
        Raises CallRefused, GatewayUnreachable after so many failures in a row.
        """
        call = calls.lists(user_id)
        plan, pause_s, newest = RetryPlan(call, self._retries), RECONNECT_S, ""
        while True:
            try:
                async with self._http.stream(**stream_request(call, self._timeout_s)) as answer:
                    if answer.is_success:
                        plan, pause_s = RetryPlan(call, self._retries), RECONNECT_S
                        lines = EventLines()
                        async for line in answer.aiter_lines():
                            data = lines.take(line)
                            if data and (found := read(call, data)).recommendation_id != newest:
                                newest = found.recommendation_id
                                yield found
                    else:
                        await answer.aread()
                        pause_s = plan.after_answer(answer)
            except httpx.TransportError as error:
                pause_s = plan.after_error(error)
            await self._sleep(pause_s)

    async def ask(self, call: HttpCall[T]) -> T:
        """Send what a function of ``calls`` made."""
        plan = RetryPlan(call, self._retries)
        while True:
            try:
                answer = await self._http.request(**request_of(call, self._timeout_s))
            except httpx.TransportError as error:
                pause_s = plan.after_error(error)
            else:
                if is_answer(call, answer):
                    return read(call, answer.content)
                pause_s = plan.after_answer(answer)
            await self._sleep(pause_s)

    async def _send(self, path: str, records: list[Record], strict: bool) -> SendOutcome:
        done: list[SendOutcome] = []
        with unsent(records, done):
            for call in calls.sends(path, records):
                done.append(await self.ask(call))
        return joined(done, strict)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
