"""A stream goes out whole and in order, whatever the broker does."""

from __future__ import annotations

import threading
from itertools import count

from streamrec.errors import Unavailable
from streamrec.lab.drill.sender import Sender
from streamrec.lab.drill.stream import Message
from tests.harness.waiting import eventually


class FlakyPublisher:
    """Refuses every third message at first, and every second flush."""

    failures = 0

    def __init__(self) -> None:
        self.taken: list[bytes | None] = []
        self.calls = self.flushes = 0
        self.calm = threading.Event()

    def publish(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        self.calls += 1
        if self.calls % 3 == 0:
            raise Unavailable("away", retry_after_s=0.001)
        self.taken.append(value)

    def flush(self) -> None:
        self.flushes += 1
        if self.flushes % 2:
            raise Unavailable("away", retry_after_s=0.001)


def numbers() -> list[bytes]:
    return [str(n).encode() for n in range(100_000)]


def test_nothing_is_left_out_or_sent_twice_and_a_pause_is_quiet() -> None:
    publisher = FlakyPublisher()
    stream = (
        Message("events", b"k", str(n).encode(), bad=n % 10 == 9, request_id=None) for n in count()
    )
    sender = Sender(stream, publisher, rate=2_000)
    sender.send_now([Message("items", b"i", b"first")])
    sender.start()
    eventually(lambda: len(publisher.taken) > 200, 20, "messages are sent")
    sender.pause()
    at_pause = len(publisher.taken)
    assert not threading.Event().wait(0.3)
    assert len(publisher.taken) == at_pause
    sender.resume()
    eventually(lambda: len(publisher.taken) > at_pause, 20, "it goes on")
    sender.stop()
    sent = publisher.taken[1:]
    assert publisher.taken[0] == b"first"
    assert sent == numbers()[: len(sent)]
    assert sender.sent.messages == len(publisher.taken)
    assert sender.sent.bad == len(sent) // 10
