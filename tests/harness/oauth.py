"""An OAuth 2 server that gives tokens to clients, and an Apache Kafka that takes them.

The tokens are JSON Web Tokens without a signature (RFC 7515, ``alg`` none), which Kafka's own
validator for tests checks: subject and times.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from streamrec.infra.clock import SystemClock
from streamrec.infra.processes.apache_kafka import ApacheKafka
from streamrec.infra.processes.server_process import HOST, free_port
from streamrec.settings import KafkaSettings, SecurityProtocol
from tests.harness.servers import new_apache_kafka

CLIENT, SECRET = "streamrec", "hush-oauth-1147"
_LOGIN = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"


def unsigned(lasts_s: float, subject: str = CLIENT) -> str:
    """A token that is valid from now on for so long."""
    now_s = SystemClock().now_ms() / 1000
    claims = {"sub": subject, "iat": now_s, "exp": now_s + lasts_s}
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in parts), ""])


@dataclass
class TokenServer:
    """``down``: answers 503."""

    lasts_s: float
    url: str = ""
    down: bool = False
    forms: list[dict[str, list[str]]] = field(default_factory=list)

    def answer(self, authorization: str, form: str) -> tuple[int, dict[str, object]]:
        self.forms.append(parse_qs(form))
        expected = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if self.down:
            return 503, {"error": "temporarily_unavailable"}
        if authorization != f"Basic {expected}":
            return 401, {"error": "invalid_client"}
        token = unsigned(self.lasts_s)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.lasts_s}


@contextmanager
def token_server(lasts_s: float) -> Iterator[TokenServer]:
    """A real HTTP server on a port of its own."""
    tokens = TokenServer(lasts_s)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, body = tokens.answer(self.headers.get("Authorization", ""), form)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        tokens.url = f"http://{HOST}:{server.server_port}/token"
        try:
            yield tokens
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class OAuthKafka:
    """The plain door is the harness's own."""

    server: ApacheKafka
    port: int

    def settings(self, topic_prefix: str, **oauth: str) -> KafkaSettings:
        return KafkaSettings(
            bootstrap=f"{HOST}:{self.port}",
            topic_prefix=topic_prefix,
            partitions=1,
            session_timeout_s=6.0,
            security_protocol=SecurityProtocol.SASL_PLAINTEXT,
            sasl_mechanism="OAUTHBEARER",
            **oauth,
        )


@contextmanager
def oauth_kafka(directory: Path) -> Iterator[OAuthKafka]:
    """Started; hangs up on whoever does not show a new token when the old one is over."""
    port, door = free_port(), "listener.name.sasl_plaintext.oauthbearer."
    properties = {
        "sasl.enabled.mechanisms": "OAUTHBEARER",
        f"{door}sasl.jaas.config": f'{_LOGIN} required unsecuredLoginStringClaim_sub="kafka";',
        f"{door}connections.max.reauth.ms": "60000",
    }
    server = new_apache_kafka(directory, properties, listeners={"SASL_PLAINTEXT": port})
    server.start()
    try:
        yield OAuthKafka(server, port)
    finally:
        server.kill()
