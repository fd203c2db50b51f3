"""The gateway's socket: told at once when it is taken, and quick."""

from __future__ import annotations

import asyncio
import socket

import pytest

from streamrec.errors import UserError
from streamrec.infra.http.server import bound, free_port


def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    with bound("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"127\.0\.0\.1:{port}: .* STREAMREC_GATEWAY_PORT"):
            bound("127.0.0.1", port)
        assert free_port("127.0.0.1", port) > port


def test_an_answer_does_not_wait_for_the_one_before_to_be_acknowledged() -> None:
    async def nodelay() -> int:
        served = asyncio.get_running_loop().create_future()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            served.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = bound("127.0.0.1", 0)
        async with await asyncio.start_server(serve, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            found = await served
            writer.close()
            await writer.wait_closed()
            return found

    assert asyncio.run(nodelay())
