"""A small read-only client of a Confluent-compatible schema registry.

Knows one endpoint, ``GET /schemas/ids/{id}``, and remembers its answers: an id never
changes its meaning. Does not register anything and does not parse Avro.
"""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

from streamrec.errors import Unavailable, UnknownSchema

TIMEOUT_S = 5.0


class SchemaRegistry:
    """Writer schemas by id. ``url`` may carry ``user:password@``."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json"}
        if parts.username is not None:
            secret = f"{parts.username}:{parts.password or ''}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(secret).decode()}"
        self._found: dict[int, Any] = {}

    def schema(self, schema_id: int) -> Any:
        """The schema as parsed JSON.

        Raises UnknownSchema when the registry has no such id, Unavailable when it does not
        answer (the message that needed it is then tried again, not refused).
        """
        if schema_id not in self._found:
            self._found[schema_id] = self._fetch(schema_id)
        return self._found[schema_id]

    def _fetch(self, schema_id: int) -> Any:
        request = Request(f"{self.url}/schemas/ids/{schema_id}", headers=self._headers)  # noqa: S310 - the operator's own URL
        try:
            with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                body = json.load(answer)
        except HTTPError as error:
            with error:
                if error.code == 404:
                    raise UnknownSchema(
                        f"the schema registry at {self.url} has no schema id {schema_id}"
                    ) from None
                raise Unavailable(
                    f"the schema registry at {self.url} answers {error.code} {error.reason}"
                ) from None
        except (URLError, OSError, ValueError) as error:
            raise Unavailable(f"no schema from the registry at {self.url}: {error}") from error
        return _schema(body, schema_id)


def _schema(body: Any, schema_id: int) -> Any:
    """The schema in a registry's answer."""
    if not isinstance(body, dict) or not isinstance(body.get("schema"), str):
        raise UnknownSchema(f"schema id {schema_id}: the registry's answer holds no schema")
    if body.get("schemaType", "AVRO") != "AVRO":
        raise UnknownSchema(f"schema id {schema_id} is {body['schemaType']}, not Avro")
    try:
        return json.loads(body["schema"])
    except (ValueError, RecursionError) as error:
        raise UnknownSchema(f"schema id {schema_id} is not JSON: {error}") from None
