"""/metrics, /healthz and /readyz of one process, on a port of their own.

Knows HTTP, and which format whoever asks prefers. Does not know what is measured. Its threads
belong to the process that made it: make it after a fork, never before.
"""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from streamrec.errors import UserError
from streamrec.infra.metrics.vitals import Vitals

TEXT = "text/plain; charset=utf-8"
IDLE_S = 10.0
"""A connection that says nothing for so long is closed."""


class Page(NamedTuple):
    """One answer."""

    status: int
    kind: str
    body: bytes


def metrics_page(registry: CollectorRegistry, accept: str) -> Page:
    """Everything measured, as OpenMetrics where ``accept`` asks for it."""
    encode, kind = choose_encoder(accept)
    return Page(200, kind, encode(registry))


def health_page(vitals: Vitals) -> Page:
    """200 while the process lives; 503, and why, when it should be killed."""
    return _told("alive", [why] if (why := vitals.dead()) else [])


def ready_page(vitals: Vitals) -> Page:
    """200 while it does its work; 503, and what it waits for, one a line."""
    return _told("ready", vitals.unready())


def _told(word: str, against: list[str]) -> Page:
    said = [f"not {word}", *against] if against else [word]
    return Page(503 if against else 200, TEXT, "".join(f"{line}\n" for line in said).encode())


class MonitoringServer:
    """A context manager: from its making it listens, from ``__enter__`` it answers.

    Raises UserError when nothing can listen there.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry, vitals: Vitals) -> None:
        self._server = _listen(host, port, _handler(registry, vitals))
        self._thread = threading.Thread(target=self._serve, name="monitoring", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.1)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def check_free(host: str, port: int) -> None:
    """Raises UserError when nothing can listen there."""
    _listen(host, port, BaseHTTPRequestHandler).server_close()


class _HTTPServer(ThreadingHTTPServer):
    """Of the address' own family."""

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self.address_family, _, _, _, address = found[0]
        super().__init__(address, handler)  # type: ignore[arg-type] # IPv6: of four


def _listen(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> _HTTPServer:
    try:
        return _HTTPServer(host, port, handler)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"metrics cannot be served at {host}:{port} ({error}): set STREAMREC_METRICS_PORT to "
            "a free port (0: none), and STREAMREC_METRICS_HOST to an address of this host"
        ) from error


def _handler(registry: CollectorRegistry, vitals: Vitals) -> type[BaseHTTPRequestHandler]:
    class MonitoringHandler(BaseHTTPRequestHandler):
        timeout = IDLE_S
        server_version = "streamrec"
        sys_version = ""

        def do_GET(self) -> None:
            page = self._page(self.path.partition("?")[0])
            self.send_response(page.status)
            self.send_header("Content-Type", page.kind)
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(page.body)

        do_HEAD = do_GET

        def _page(self, path: str) -> Page:
            if path == "/metrics":
                return metrics_page(registry, self.headers.get("Accept", ""))
            if path == "/healthz":
                return health_page(vitals)
            if path == "/readyz":
                return ready_page(vitals)
            return Page(404, TEXT, b"here are /metrics, /healthz and /readyz\n")

        def log_message(self, *_: object) -> None:
            """A scrape every few seconds is no news."""

    return MonitoringHandler
