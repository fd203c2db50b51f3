"""How much one caller may ask, and what is said where that is too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request

from streamrec.errors import AccessRefused, InvalidField, NotAllowed, Unavailable, UserError
from streamrec.infra.http import problems
from streamrec.infra.http.limits import CALLERS, Allowances, Limits
from streamrec.infra.http.problems import Problem, as_problem
from streamrec.infra.http.request_ids import RequestIds


class Seconds:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_an_allowance_is_spent_and_comes_back() -> None:
    clock = Seconds()
    allowances = Allowances(2.0, clock)
    assert [allowances.wait_s("ann") for _ in range(4)] == [0.0] * 4
    assert allowances.wait_s("ann") == 0.5
    assert allowances.wait_s("bob") == 0.0
    clock.now_s += 0.5
    assert allowances.wait_s("ann") == 0.0
    assert allowances.wait_s("ann") == 0.5
    clock.now_s += 3_600
    assert [allowances.wait_s("ann") for _ in range(5)][-1] == 0.5, "no more than a burst is kept"


def test_callers_without_end_take_no_memory_without_end() -> None:
    allowances = Allowances(0.5, Seconds())
    assert allowances.wait_s("first") == 0.0
    assert allowances.wait_s("first") > 0.0
    for number in range(CALLERS):
        allowances.wait_s(f"caller {number}")
    assert allowances.wait_s("first") == 0.0, "forgotten"


def test_zero_is_no_limit() -> None:
    allowances = Allowances(0.0)
    assert {allowances.wait_s("ann") for _ in range(10_000)} == {0.0}


class Http:
    """Asks an application without a server."""

    def __init__(self, app: FastAPI) -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def ask(self, method: str, path: str, **how) -> httpx.Response:
        async def asked() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://here") as http:
                return await http.request(method, path, **how)

        return asyncio.run(asked())


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.fixture
def http() -> Http:
    app = FastAPI()
    problems.install(app)

    @app.post("/v1/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.get("/v1/broken")
    async def broken() -> None:
        raise ZeroDivisionError

    allowances = Allowances(1.0, Seconds())
    app.add_middleware(Limits, max_body_bytes=10, allowances=allowances)
    app.add_middleware(RequestIds)
    return Http(app)


def test_what_is_too_much_is_a_problem_document(http: Http) -> None:
    assert http.ask("POST", "/v1/echo", content=b"0123456789").json() == 10
    large = http.ask("POST", "/v1/echo", content=b"0123456789a")
    assert (large.status_code, large.json()["code"]) == (413, "too-large")
    unsaid = http.ask("POST", "/v1/echo", content=chunks(b"01234", b"56789", b"a"))
    assert (unsaid.status_code, unsaid.json()["code"]) == (413, "too-large")
    many = http.ask("POST", "/v1/echo", content=b"")
    assert (many.status_code, many.json()["code"]) == (429, "too-many-requests")
    assert many.headers["retry-after"] == "1"
    assert many.headers["content-type"] == problems.MEDIA_TYPE
    assert len(many.headers["x-request-id"]) == 32
    other = http.ask("POST", "/v1/echo", headers={"Authorization": "Bearer another"})
    assert other.status_code == 200, "a key has an allowance of its own"
    assert http.ask("GET", "/elsewhere").status_code == 404, "not limited"


def test_what_nobody_foresaw_is_told_without_its_insides(http: Http, caplog) -> None:
    failed = http.ask("GET", "/v1/broken", headers={"X-Request-Id": "<script>"})
    assert failed.status_code == 500
    assert failed.json()["code"] == "failed"
    assert "<" not in failed.headers["x-request-id"]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Problem(404, "no-list", "none"), 404, "no-list"),
        (Unavailable("Kafka is away", 2.6), 503, "unavailable"),
        (InvalidField("k is 0", "k"), 422, "invalid-field"),
        (AccessRefused("who?", "key-needed", known=False), 401, "key-needed"),
        (AccessRefused("not you", "role-missing", known=True), 403, "role-missing"),
        (NotAllowed("Kafka does not allow it"), 503, "not-allowed"),
        (UserError("it cannot be"), 409, "impossible"),
    ],
)
def test_errors_of_the_house_have_their_status(error: Exception, status: int, code: str) -> None:
    found = as_problem(error)
    assert (found.status, found.code, found.detail) == (status, code, str(error))
