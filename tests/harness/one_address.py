"""An address behind which servers change: what a virtual IP or a proxy of a managed Redis does."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from streamrec.infra.processes.server_process import HOST, free_port

CHUNK = 1 << 16


class OneAddress:
    """Hands each new connection to ``port``; those there are stay where they were. A context
    manager."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.own = free_port()
        self._listener = socket.create_server((HOST, self.own))
        self._open: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.own}/0"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Close every connection, as a proxy does with those that were idle for too long."""
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection((HOST, self.port))
                except OSError:  # nobody is there
                    client.close()
                    continue
                self._open += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=_copy, args=pair, daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
