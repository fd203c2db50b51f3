"""Lists and replies as whoever reads them wants them: JSON, or Avro behind a schema registry's id.

Knows how fields are written, and read back by our own tools. Does not know what they mean
(``infra.wire.values``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import fastavro
import orjson

from streamrec.errors import Malformed
from streamrec.infra.wire.strangers import avro_body

Encode = Callable[[Any, Mapping[str, Any]], bytes]
"""From a parsed schema and the fields of a value."""


def avro_bytes(header: bytes, schema: Any, fields: Mapping[str, Any]) -> bytes:
    """``header`` and the body. Raises ValueError, TypeError where they are not of the schema."""
    out = BytesIO()
    out.write(header)
    fastavro.schemaless_writer(out, schema, fields)
    return out.getvalue()


def as_json(schema: Any, fields: Mapping[str, Any]) -> bytes:
    """An object with the names of the schema."""
    del schema
    return orjson.dumps(fields)


def as_framed(schema_id: Callable[[], int]) -> Encode:
    """``schema_id``: as a registry gives it. What it raises, the encoder raises."""

    def encode(schema: Any, fields: Mapping[str, Any]) -> bytes:
        return avro_bytes(b"\x00" + schema_id().to_bytes(4, "big"), schema, fields)

    return encode


def conformed(schema: Any, found: Any) -> Any:
    """Fields that were read without our schema, as if with it. Raises Malformed."""
    try:
        body = avro_bytes(b"", schema, found)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise Malformed(f"not what its schema says: {error!r:.200}") from None
    return avro_body(body, 0, schema, None)
