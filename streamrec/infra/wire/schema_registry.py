"""A small client of a Confluent-compatible schema registry.

Knows how a schema is found by its id, and what it refers to; remembers the answers: an id never
changes its meaning. Does not know what a schema says
(``infra.wire.foreign_schema``, ``infra.wire.protobuf``).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from streamrec.errors import Unavailable, UnknownSchema, UserError

TIMEOUT_S = 5.0
_REFUSED = (400, 401, 403, 404, 409, 422)
"""No retry will make good what is answered so: somebody has to change something."""

DEEPEST = 16
"""References of references."""


class RegisteredSchema(NamedTuple):
    """``references``: by the names that ``schema`` has for them."""

    kind: str  # AVRO, JSON or PROTOBUF
    schema: Any  # parsed JSON of Avro's, text of the others'
    references: Mapping[str, RegisteredSchema] = {}


class SchemaRegistry:
    """Schemas by id, and ids of our own. ``url`` may carry ``user:password@``."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json"}
        if parts.username is not None:
            secret = f"{parts.username}:{parts.password or ''}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(secret).decode()}"
        self._found: dict[int, RegisteredSchema] = {}
        self._ids: dict[str, int] = {}

    def schema(self, schema_id: int) -> RegisteredSchema:
        """The schema with everything that it refers to.

        Raises UnknownSchema when the registry has no such id, Unavailable when it does not
        answer (the message that needed it is then tried again, not refused).
        """
        if schema_id not in self._found:
            self._found[schema_id] = self._fetch(
                f"schemas/ids/{schema_id}", f"schema id {schema_id}"
            )
        return self._found[schema_id]

    def register(self, subject: str, schema: Any) -> int:
        """The id of an Avro schema, registered if it is not yet; asked once for each subject.

        Raises UserError when the registry does not take it, Unavailable when it does not answer.
        """
        if subject not in self._ids:
            self._ids[subject] = self._sent(subject, json.dumps(schema))
        return self._ids[subject]

    def _sent(self, subject: str, text: str) -> int:
        body = json.dumps({"schema": text}).encode()
        request = Request(  # noqa: S310 - the operator's own URL
            f"{self.url}/subjects/{quote(subject, safe='')}/versions",
            body,
            {**self._headers, "Content-Type": "application/vnd.schemaregistry.v1+json"},
        )
        try:
            with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return int(json.load(answer)["id"])
        except HTTPError as error:
            with error:
                told = f"{error.code} {error.reason} {error.read(500).decode(errors='replace')}"
            if error.code in _REFUSED:
                raise UserError(
                    f"the schema registry at {self.url} does not take {subject}: {told}"
                ) from None
            raise Unavailable(f"the schema registry at {self.url} answers {told}") from None
        except (URLError, OSError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"{subject} not registered at {self.url}: {error}") from error

    def _fetch(self, path: str, what: str, depth: int = 0) -> RegisteredSchema:
        if depth > DEEPEST:
            raise UnknownSchema(f"{what}: references more than {DEEPEST} deep")
        body = self._asked(path, what)
        if not isinstance(body, dict) or not isinstance(body.get("schema"), str):
            raise UnknownSchema(f"{what}: the registry's answer holds no schema")
        references = {}
        for name, subject, version in map(_reference, body.get("references") or ()):
            at = f"subjects/{quote(subject, safe='')}/versions/{version}"
            references[name] = self._fetch(at, f"{what}, which refers to {name}", depth + 1)
        kind, schema = body.get("schemaType") or "AVRO", body["schema"]
        if kind == "AVRO":
            schema = _parsed(schema, what)
        return RegisteredSchema(kind, schema, references)

    def _asked(self, path: str, what: str) -> Any:
        request = Request(f"{self.url}/{path}", headers=self._headers)  # noqa: S310 - the operator's own URL
        try:
            with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return json.load(answer)
        except HTTPError as error:
            with error:
                if error.code == 404:
                    raise UnknownSchema(
                        f"the schema registry at {self.url} has no {what}"
                    ) from None
                raise Unavailable(
                    f"the schema registry at {self.url} answers {error.code} {error.reason}"
                ) from None
        except (URLError, OSError, ValueError) as error:
            raise Unavailable(f"no schema from the registry at {self.url}: {error}") from error


def _parsed(schema: str, what: str) -> Any:
    try:
        return json.loads(schema)
    except (ValueError, RecursionError) as error:
        raise UnknownSchema(f"{what} is not JSON: {error}") from None


def _reference(found: Any) -> tuple[str, str, int]:
    try:
        return str(found["name"]), str(found["subject"]), int(found["version"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnknownSchema(f"the registry's answer holds a reference without {error}") from None
