"""A gateway in a thread of this process, and what asks it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue

import httpx

from streamrec.apps.gateway import run_gateway
from streamrec.settings import Settings
from tests.harness.waiting import PATIENCE_S, eventually


@contextmanager
def gateway(settings: Settings, name: str = "gateway-1") -> Iterator[httpx.Client]:
    """A client of one that is ready; it has ended when the block has."""
    stop, ports, failed = threading.Event(), Queue[int](), []

    def run() -> None:
        try:
            run_gateway(settings, name, stop, ports.put)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name=name)
    thread.start()
    try:
        port = ports.get(timeout=PATIENCE_S)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
            eventually(lambda: ready(client) or failed, what=lambda: client.get("/readyz").text)
            yield client
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert failed == []


def ready(client: httpx.Client) -> bool:
    return client.get("/readyz").status_code == 200


def gone_wrong(answer: httpx.Response) -> dict:
    """A problem document, whole."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.headers["x-request-id"]
    found = answer.json()
    assert found["status"] == answer.status_code
    assert found["type"] == f"urn:streamrec:problem:{found['code']}"
    return found
