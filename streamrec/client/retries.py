"""What is tried again, when, and what is given up.

- A connection that was not made: nothing arrived; always tried again.
- 429: the gateway has refused before it did anything; tried again after ``Retry-After``.
- 502, 503, 504, or a connection that broke: it may have been done; tried again where doing it
  twice is doing it once (``HttpCall.repeatable``).
- Every other answer is final; so is a gateway's own 504: it has waited as long as it was told to.

Pauses double from 0.1 s to 5 s, each shortened by chance up to half, so that many clients do not
come back at once.
"""

from __future__ import annotations

import json
import random
from typing import Any, TypeVar

import httpx

from streamrec.client.calls import HttpCall
from streamrec.errors import CallRefused, GatewayUnreachable

T = TypeVar("T")
NOT_MADE = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
REFUSED_BEFORE = 429
PERHAPS_DONE = frozenset({502, 503, 504})
WAITED_FOR = "no-answer"
"""The code of a 504 that says: nobody answered within ``wait_s``."""
FIRST_S, LONGEST_S, PATIENCE_S = 0.1, 5.0, 30.0


class RetryPlan:
    """Of one call: how long to pause after each failure, until it is given up."""

    def __init__(self, call: HttpCall[Any], retries: int) -> None:
        self._call, self._left, self._pause_s = call, retries, FIRST_S

    def after_error(self, error: httpx.TransportError) -> float:
        """Seconds to pause. Raises GatewayUnreachable when there is no other try."""
        certain = isinstance(error, NOT_MADE)
        if self._left > 0 and (certain or self._call.repeatable):
            return self._next(0.0)
        told = "" if certain else "; whether it was done is not known"
        raise GatewayUnreachable(
            f"{self._call.method} {self._call.path}: {str(error) or type(error).__name__}{told}"
        ) from error

    def after_answer(self, answer: httpx.Response) -> float:
        """Seconds to pause. Raises CallRefused when the answer is final."""
        status, refused = answer.status_code, refusal(answer)
        passing = status in PERHAPS_DONE and refused.code != WAITED_FOR and self._call.repeatable
        asked_s = _retry_after_s(answer)
        if (passing or status == REFUSED_BEFORE) and self._left > 0 and asked_s <= PATIENCE_S:
            return self._next(asked_s)
        raise refused

    def _next(self, asked_s: float) -> float:
        self._left -= 1
        pause_s = self._pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients
        self._pause_s = min(LONGEST_S, 2 * self._pause_s)
        return max(pause_s, asked_s)


def refusal(answer: httpx.Response) -> CallRefused:
    """What a gateway's problem document says, or a proxy's page where there is none."""
    try:
        fields = answer.json()
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        fields = {"title": answer.reason_phrase, "detail": answer.text[:200]}
    request_id = fields.get("request_id") or answer.headers.get("X-Request-Id", "")
    return CallRefused(answer.status_code, fields, str(request_id))


def is_answer(call: HttpCall[Any], answer: httpx.Response) -> bool:
    """Whether ``call.read`` takes it."""
    return answer.is_success or (call.verdicts and "verdicts" in refusal(answer).problem)


def read(call: HttpCall[T], data: bytes | str) -> T:
    """Raises GatewayUnreachable: whoever answered is no gateway."""
    try:
        return call.read(json.loads(data))
    except (ValueError, KeyError, TypeError) as error:
        raise GatewayUnreachable(
            f"{call.method} {call.path}: the answer is none of a gateway's: {error!r}"
        ) from error


def _retry_after_s(answer: httpx.Response) -> float:
    try:
        return max(0.0, float(answer.headers.get("Retry-After", 0)))
    except ValueError:  # a date, which no gateway of ours sends
        return 0.0
