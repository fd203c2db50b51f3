"""Bytes that our codec would not write, of schemas that it knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from threading import Thread
from typing import Any

import fastavro

from streamrec.core.tasks import RANKING
from streamrec.infra.wire.batches import batch_shapes
from streamrec.infra.wire.codec import SINGLE_OBJECT, fingerprint, versions_of
from streamrec.infra.wire.values import SHAPES
from streamrec.tasks.ranking.examples import FORMAT


@cache
def schemas_of(topic: str) -> dict[bytes, Any]:
    """By header, every version of a topic's schema, today's last."""
    of_tasks = batch_shapes({RANKING: FORMAT})
    versions = of_tasks[topic].versions if topic in of_tasks else versions_of(SHAPES[topic])
    return {SINGLE_OBJECT + fingerprint(one): fastavro.parse_schema(one) for one in versions}


def header_of(topic: str) -> bytes:
    """What every message of today's schema begins with."""
    return list(schemas_of(topic))[-1]


def written(schema: Any, fields: Any) -> bytes:
    """An Avro body."""
    out = BytesIO()
    fastavro.schemaless_writer(out, schema, fields)
    return out.getvalue()


@contextmanager
def schema_registry(answers: dict[int | str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """An HTTP server that answers as a schema registry would: its URL, and the paths asked for.

    ``answers``: by schema id, or by path where that is not one."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            last = int(self.path.rpartition("/")[2])
            body = answers.get(self.path) or answers.get(last)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"{}")

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()
