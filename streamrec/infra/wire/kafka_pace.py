"""A pause between questions that a broker answers at once with nothing.

A Kafka broker holds an empty fetch back for half a second. The embedded one answers it at once,
and kafka-python and aiokafka ask again at once: a thousand times a second, a whole core of every
process that only waits. Where a broker holds fetches back, nothing changes.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from kafka import KafkaConsumer

PAUSE_S = 0.01
AT_ONCE_S = 0.1
"""No broker that holds an empty fetch back is so quick."""


def pace(consumer: KafkaConsumer, pause_s: float = PAUSE_S) -> KafkaConsumer:
    """Make the consumer pause after an empty answer that came at once; returns it."""
    polls = consumer._poll_once

    def poll_once(timer: Any, *arguments: Any, **how: Any) -> Any:
        asked_s = time.monotonic()
        records = polls(timer, *arguments, **how)
        if not records and not timer.expired and time.monotonic() - asked_s < AT_ONCE_S:
            time.sleep(pause_s)
        return records

    consumer._poll_once = poll_once
    return consumer


def pace_aiokafka(consumer: Any) -> None:
    """The same for a consumer of aiokafka; more than once is no more."""
    fetcher = consumer._fetcher
    if "_proc_fetch_request" in vars(fetcher):
        return
    asks = fetcher._proc_fetch_request

    async def ask(*arguments: Any) -> Any:
        asked_s = time.monotonic()
        found = await asks(*arguments)
        if not found and time.monotonic() - asked_s < AT_ONCE_S:
            try:
                await asyncio.sleep(PAUSE_S)
            except asyncio.CancelledError:  # as the fetcher's own: who cancels it awaits it
                return False
        return found

    fetcher._proc_fetch_request = ask
