"""Server-sent events: what is made, as it is made, and a sign of life when nothing is.

A reader that has gone is noticed when it has gone, by the server; one that does not read is told
less, not later (whoever makes events bounds what waits).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

EVENT_STREAM = "text/event-stream"
HEARTBEAT_S = 10.0
RETRY_MS = 2_000
MOST_STREAMS = 2_000

Told = tuple[str, str, bytes]
"""Event, id, and data without a line break."""


def event_stream(events: AsyncIterator[Told]) -> StreamingResponse:
    """No proxy may hold it back."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_text(events), headers=headers, media_type=EVENT_STREAM)


async def _text(events: AsyncIterator[Told]) -> AsyncIterator[bytes]:
    yield b"retry: %d\n\n" % RETRY_MS
    coming = asyncio.ensure_future(anext(events))
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=HEARTBEAT_S)
            if not done:
                yield b": nothing new\n\n"
                continue
            event, name, data = coming.result()
            yield b"event: %s\nid: %s\ndata: %s\n\n" % (event.encode(), name.encode(), data)
            coming = asyncio.ensure_future(anext(events))
    except StopAsyncIteration:
        return
    finally:
        coming.cancel()
