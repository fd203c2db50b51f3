"""A client of the gateway, sync and async. Needs httpx and nothing else of what streamrec needs.

calls.py        what can be asked of a gateway: one function each, which sends nothing
results.py      what it answers, as frozen values
retries.py      what is tried again, when, and what is given up
connection.py   what both clients share: headers, time-outs, many lines in few requests
waiting.py      ``StreamrecClient``
awaited.py      ``AsyncStreamrecClient``
stream.py       server-sent events, line by line

::

    from streamrec.client import StreamrecClient

    with StreamrecClient("http://127.0.0.1:8080", api_key="sr_...") as gateway:
        gateway.send_events([{"user_id": "ann", "item_id": "42", "kind": "click"}])
        titles = [item.title for item in gateway.recommend("ann", k=5).items]
"""

from __future__ import annotations

from streamrec.client.awaited import AsyncStreamrecClient
from streamrec.client.results import (
    FallbackList,
    HistoryEntry,
    LineVerdict,
    PinState,
    SendOutcome,
    ServedItem,
    ServedList,
    SwapOutcome,
    UserHistory,
)
from streamrec.client.waiting import StreamrecClient
from streamrec.errors import CallRefused, GatewayUnreachable, LinesRefused

__all__ = [
    "AsyncStreamrecClient",
    "CallRefused",
    "FallbackList",
    "GatewayUnreachable",
    "HistoryEntry",
    "LineVerdict",
    "LinesRefused",
    "PinState",
    "SendOutcome",
    "ServedItem",
    "ServedList",
    "StreamrecClient",
    "SwapOutcome",
    "UserHistory",
]
