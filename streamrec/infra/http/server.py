"""uvicorn on a socket that is ours beforehand, ended from outside.

Knows sockets and uvicorn. Does not know what is served, nor who says that it is over.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from streamrec.errors import UserError

BACKLOG = 2048
KEEP_ALIVE_S = 30
FINISH_S = 35
"""Requests that are being answered at the end have so long: more than anybody may wait."""
LOOK_S = 0.05


def bound(host: str, port: int) -> socket.socket:
    """A listening socket; port 0: any that is free. Raises UserError where it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay (40 ms of every answer) off only where the protocol is named
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UserError(
            f"the gateway cannot listen on {host}:{port}: {_why(error)}; "
            "STREAMREC_GATEWAY_PORT is another port, STREAMREC_GATEWAY_HOST another address"
        ) from None
    return listener


def _why(error: OSError) -> str:
    if isinstance(error, socket.gaierror):  # its numbers are its own
        return str(error.strerror)
    return os.strerror(error.errno or 0)


def free_port(host: str, port: int, tries: int = 100) -> int:
    """The first from ``port`` on that nobody listens on; from 0, any.

    Raises UserError when none of many is.
    """
    for candidate in range(port, port + tries):
        try:
            with bound(host, candidate) as listener:
                return int(listener.getsockname()[1])
        except UserError:
            continue
    raise UserError(f"no free port from {port} to {port + tries - 1}: STREAMREC_GATEWAY_PORT")


class HttpServer(uvicorn.Server):
    """One that leaves signals to its process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of them."""
        yield

    async def until(self, over: Callable[[], bool], listener: socket.socket) -> None:
        """Serve until ``over``; then finish what is being answered, and return."""
        serving = asyncio.create_task(self.serve([listener]))
        while not (serving.done() or over()):
            await asyncio.sleep(LOOK_S)
        self.should_exit = True
        await serving


def http_server(app: ASGIApp) -> HttpServer:
    """As the house logs. Of what a proxy in front of us says, only one on this host is believed."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=FINISH_S,
    )
    return HttpServer(config)
