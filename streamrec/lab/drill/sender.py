"""Sends a stream at a steady rate from a thread of its own, whatever happens to the broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from streamrec.errors import Unavailable
from streamrec.lab.drill.stream import Message
from streamrec.ports import Publisher

TURN_S = 0.1


@dataclass(slots=True)
class Sent:
    """What has been handed to Kafka. Written by the sender's thread."""

    messages: int = 0
    bad: int = 0
    requests: list[str] = field(default_factory=list)
    in_words: list[str] = field(default_factory=list)  # of those, which want a reply


class Sender:
    """``rate``: messages a second. After a broker was down it goes on; it does not catch up."""

    def __init__(self, stream: Iterable[Message], publisher: Publisher, rate: float) -> None:
        self.sent = Sent()
        self._stream = iter(stream)
        self._publisher = publisher
        self._rate = rate
        self._stop = threading.Event()
        self._going = threading.Event()
        self._quiet = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def send_now(self, messages: Iterable[Message]) -> None:
        """Before ``start``: all of them, acknowledged when this returns."""
        for message in messages:
            self._send(message)
        self._flush()

    def start(self) -> None:
        self._going.set()
        self._thread.start()

    def pause(self) -> None:
        """Return when everything sent so far is acknowledged and nothing more is sent."""
        self._quiet.clear()
        self._going.clear()
        self._quiet.wait()

    def resume(self) -> None:
        self._going.set()

    def stop(self) -> None:
        """Return when everything sent is acknowledged."""
        self._stop.set()
        self._going.set()
        self._thread.join()

    def _run(self) -> None:
        owed = 0.0
        while not self._stop.is_set():
            if not self._going.is_set():
                self._flush()
                self._quiet.set()
                self._going.wait()
            begun_s = time.monotonic()
            owed += self._rate * TURN_S
            while owed >= 1:
                self._send(next(self._stream))
                owed -= 1
            self._flush()
            self._stop.wait(max(0.0, TURN_S - (time.monotonic() - begun_s)))

    def _send(self, message: Message) -> None:
        while True:
            try:
                self._publisher.publish(message.topic, message.key, message.value)
                break
            except Unavailable as error:  # it was not taken
                time.sleep(error.retry_after_s)
        self.sent.messages += 1
        self.sent.bad += message.bad
        if message.request_id is not None:
            self.sent.requests.append(message.request_id)
            if message.wants_reply:
                self.sent.in_words.append(message.request_id)

    def _flush(self) -> None:
        while True:
            try:
                return self._publisher.flush()
            except Unavailable as error:
                time.sleep(error.retry_after_s)
