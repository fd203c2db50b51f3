"""What went wrong, as RFC 9457 has it: one form for every error, and its place in OpenAPI.

``type`` is a URN that never changes; ``code`` is its last word, for programs; ``detail`` is for
people. What a caller has sent is never said back but in the house's own messages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from streamrec.core.printable import one_line
from streamrec.errors import (
    AccessRefused,
    GenerationRefused,
    NotAllowed,
    NotThere,
    Refused,
    RegistryConflict,
    Unavailable,
    UserError,
)

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
URN = "urn:streamrec:problem:"
ALWAYS = (400, 401, 403, 413, 429, 500)
"""What any route may answer."""


class ProblemDocument(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str


class Problem(Exception):
    """Raise it anywhere in a route. ``more``: members beside the standard ones."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers, self.more = dict(headers or {}), more

    def response(self) -> Response:
        return JSONResponse(
            {
                **self.more,
                "type": URN + self.code,
                "title": HTTPStatus(self.status).phrase,
                "status": self.status,
                "detail": self.detail,
                "code": self.code,
            },
            self.status,
            self.headers,
            MEDIA_TYPE,
        )


def unavailable(error: Unavailable) -> Problem:
    """For whoever may try again soon."""
    wait = {"Retry-After": str(max(1, round(error.retry_after_s)))}
    return Problem(503, "unavailable", str(error), headers=wait)


def install(app: FastAPI) -> None:
    """Every error of ``app`` becomes a problem document, and OpenAPI knows what one looks like."""
    for kind in _TOLD:
        app.add_exception_handler(kind, _told)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]


async def _told(request: Request, error: Exception) -> Response:
    if isinstance(error, AccessRefused):
        log.warning("refused %s %s: %s", request.method, one_line(request.url.path), error)
    return as_problem(error).response()


def as_problem(error: Exception) -> Problem:
    """What a caller is told: of what nobody foresaw, nothing."""
    for kind, told in _TOLD.items():
        if isinstance(error, kind):
            return told(error)
    return Problem(500, "failed", "nobody foresaw this; the gateway's log says more")


def _no_access(error: AccessRefused) -> Problem:
    if error.known:
        return Problem(403, error.code, str(error))
    return Problem(401, error.code, str(error), headers={"WWW-Authenticate": "Bearer"})


def _of_framework(error: HTTPException) -> Problem:
    phrase = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    code = "too-large" if error.status_code == 413 else phrase  # its phrase is another in 3.13
    return Problem(error.status_code, code, str(error.detail), headers=error.headers)


def _invalid(error: RequestValidationError) -> Problem:
    """The first thing that is wrong, in words, and all of them by their place."""
    found = [
        {"field": ".".join(map(_shown, one["loc"][1:])), "reason": one["msg"]}
        for one in error.errors()
    ]
    first = found[0]
    where = f"{first['field']}: " if first["field"] else ""
    return Problem(422, "invalid-field", where + first["reason"], errors=found)


_TOLD: Mapping[type[Exception], Callable[[Any], Problem]] = {
    Problem: lambda error: error,
    RequestValidationError: _invalid,
    HTTPException: _of_framework,
    Unavailable: unavailable,
    AccessRefused: _no_access,
    Refused: lambda error: Problem(422, error.code, str(error)),
    NotAllowed: lambda error: Problem(503, "not-allowed", str(error)),
    NotThere: lambda error: Problem(404, "not-found", str(error)),
    RegistryConflict: lambda error: Problem(409, "conflict", str(error)),
    GenerationRefused: lambda error: Problem(409, "generation-refused", str(error)),
    UserError: lambda error: Problem(409, "impossible", str(error)),
}


def _shown(part: str | int) -> str:
    return str(part).encode(errors="replace").decode()


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``: problem documents with these, and with what any may answer."""
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in sorted({*statuses, *ALWAYS})
    }


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        found = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = found.setdefault("components", {}).setdefault("schemas", {})
        if keys := found["components"].get("securitySchemes"):
            found["security"] = [{}, *({name: []} for name in keys)]  # anywhere else it may be
        schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
        app.openapi_schema = found
    return app.openapi_schema
