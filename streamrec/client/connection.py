"""What both clients share: headers, time-outs, and many events or items in few requests."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from streamrec import __version__
from streamrec.client.calls import HttpCall
from streamrec.client.results import SendOutcome
from streamrec.errors import CallRefused, GatewayUnreachable, LinesRefused

SILENCE_S = 60.0
"""A stream that gave not even a heartbeat for so long is asked for anew."""

RECONNECT_S = 1.0
"""Before a stream that has ended is asked for again."""

F = TypeVar("F", bound=Callable[..., Any])


def options(base_url: str, api_key: str, timeout_s: float) -> dict[str, Any]:
    """Of an ``httpx`` client. Raises ValueError: a key that is none, before it is sent."""
    headers = {"User-Agent": f"streamrec-client/{__version__}", "Accept": "application/json"}
    if api_key:
        if not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("the API key holds what no key has: a line break, perhaps?")
        headers["Authorization"] = f"Bearer {api_key}"
    return {"base_url": base_url, "headers": headers, "timeout": timeout_s}


def request_of(call: HttpCall[Any], timeout_s: float) -> dict[str, Any]:
    """Arguments of ``httpx``'s ``request``."""
    found: dict[str, Any] = {
        "method": call.method,
        "url": call.path,
        "params": call.params or None,
        "timeout": max(timeout_s, call.timeout_s),
    }
    if call.body is not None:
        found |= {"content": call.body, "headers": {"Content-Type": call.content_type}}
    return found


def stream_request(call: HttpCall[Any], timeout_s: float) -> dict[str, Any]:
    """Arguments of ``httpx``'s ``stream``."""
    return request_of(call, timeout_s) | {
        "timeout": httpx.Timeout(timeout_s, read=SILENCE_S),
        "headers": {"Accept": "text/event-stream"},
    }


@contextmanager
def unsent(records: Sequence[Mapping[str, Any]], done: list[SendOutcome]) -> Iterator[None]:
    """An error of the block is told which records no verdict has come for."""
    try:
        yield
    except (CallRefused, GatewayUnreachable) as error:
        error.unsent = records[sum(len(one.verdicts) for one in done) :]
        raise


def joined(done: Sequence[SendOutcome], strict: bool) -> SendOutcome:
    """One outcome of them all. Raises LinesRefused where ``strict`` and one was refused."""
    outcome = SendOutcome(tuple(verdict for one in done for verdict in one.verdicts))
    if strict and (refused := outcome.refused):
        first = refused[0]
        raise LinesRefused(
            outcome,
            f"{len(refused)} of {len(outcome.verdicts)} were refused; the first, {first.line}: "
            f"{first.reason}",
        )
    return outcome


def described(method: F, make: Callable[..., Any]) -> F:
    """``method`` with the name, the words and the parameters of ``make``, after ``self``; it
    returns what the call is read as."""
    told = inspect.signature(make)
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    gives = str(told.return_annotation).removeprefix("HttpCall[").removesuffix("]")
    method.__name__, method.__doc__ = make.__name__, make.__doc__
    vars(method)["__signature__"] = told.replace(
        parameters=[itself, *told.parameters.values()], return_annotation=gives
    )
    return method
