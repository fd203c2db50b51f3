"""A server that speaks what vLLM and mistral.rs do, over a model that runs in this process.

What it is asked to constrain it constrains by its own grammar, and then holds the text against the
regular expression it was given.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from streamrec.errors import GenerationRefused
from streamrec.models.writer import CausalWriter
from streamrec.ports import Grammar, Wanted

LABELS = re.compile(r"\\\[\\\[\(([^)]*)\)")


class FakeInferenceServer:
    """``url`` to call it by; ``mismatched``: texts that are not of the pattern asked for."""

    def __init__(self, writer: CausalWriter) -> None:
        self.writer = writer
        self.mismatched: list[str] = []
        self.busy: list[int] = []  # answers that are given instead, each once
        self.away = False  # answers that it is, and nothing else
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def forget(self) -> None:
        """As a server that has restarted."""
        for name in self.writer.status().loaded:
            self.writer.retire(name)

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.away or self.busy:
            return (503 if self.away else self.busy.pop()), {"error": "busy"}
        if path == "/v1/load_lora_adapter":
            if body["lora_name"] in self.writer.status().loaded:
                return 400, {"error": "already loaded"}
            try:
                self.writer.load(body["lora_name"], Path(body["lora_path"]))
            except GenerationRefused as error:
                return 400, {"error": str(error)}
        elif path == "/v1/unload_lora_adapter":
            self.writer.retire(body["lora_name"])
        elif path == "/v1/models":
            names = ["tiny", *(f"tiny::{name}" for name in self.writer.status().loaded)]
            return 200, {"data": [{"id": name} for name in names]}
        else:
            return 404, {"error": "no such path"}
        return 200, {}

    def chat(self, body: dict[str, Any], say: Callable[[str], None]) -> str:
        """Why it has ended. Raises GenerationRefused."""
        pattern = body["structured_outputs"]["regex"]
        labels = {label for found in LABELS.findall(pattern) for label in found.split("|")}
        assert labels
        system, user = (message["content"] for message in body["messages"])
        grammar = Grammar(tuple(sorted(labels)), body["max_tokens"])
        wanted = Wanted(system, user, body["model"], grammar, body["seed"], body["temperature"])
        one = self.writer.generate([wanted], lambda _, piece: say(piece))[0]
        if one.finished and not re.fullmatch(pattern, one.text):
            self.mismatched.append(one.text)
        return "stop" if one.finished else "length"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(*server.answer(self.path, {}))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path != "/v1/chat/completions" or server.busy or server.away:
                    self._send(*server.answer(self.path, body))
                elif body["model"] not in server.writer.status().loaded:
                    self._send(404, {"error": f"the model {body['model']} does not exist"})
                else:
                    self._stream(body)

            def _stream(self, body: dict[str, Any]) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                ended = server.chat(body, lambda piece: self._event({"content": piece}, None))
                self._event({}, ended)
                self.wfile.write(b"data: [DONE]\n\n")

            def _event(self, delta: dict[str, str], ended: str | None) -> None:
                choice = {"index": 0, "delta": delta, "finish_reason": ended}
                self.wfile.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
                self.wfile.flush()

            def _send(self, status: int, body: dict[str, Any]) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        return Handler
