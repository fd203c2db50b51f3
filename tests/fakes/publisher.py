"""A Publisher that remembers what was acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from streamrec.errors import TooLarge, Unavailable
from streamrec.ports.tracing import Header


@dataclass
class FakePublisher:
    """``acknowledged``: (topic, key, value) in the order they were sent, once flushed.

    ``lose`` says of which messages Kafka takes nothing from there on, told at the next flush.
    """

    max_bytes: int = 1_000_000
    failures: int = 0
    lose: Callable[[str, bytes | None], bool] | None = None
    acknowledged: list[tuple[str, bytes | None, bytes | None]] = field(default_factory=list)
    on_its_way: list[tuple[str, bytes | None, bytes | None]] = field(default_factory=list)

    headers: list[tuple[str, tuple[Header, ...]]] = field(default_factory=list)  # as handed over

    def publish(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Header] = (),
    ) -> None:
        if value is not None and len(value) > self.max_bytes:
            raise TooLarge(f"{len(value)} bytes")
        self.on_its_way.append((topic, key, value))
        self.headers.append((topic, tuple(headers)))

    def flush(self) -> None:
        on_its_way, self.on_its_way = self.on_its_way, []
        for at, (topic, key, _) in enumerate(on_its_way):
            if self.lose is not None and self.lose(topic, key):
                self.lose = None
                self.failures += len(on_its_way) - at
                raise Unavailable("Kafka did not take a message", 0.01)
            self.acknowledged.append(on_its_way[at])

    def values(self, topic: str) -> list[bytes]:
        return [value for name, _, value in self.acknowledged if name == topic and value]
