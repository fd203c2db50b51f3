"""A Publisher that remembers what was acknowledged."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamrec.errors import TooLarge


@dataclass
class FakePublisher:
    """``acknowledged``: (topic, key, value) in the order they were sent, once flushed."""

    max_bytes: int = 1_000_000
    acknowledged: list[tuple[str, bytes | None, bytes | None]] = field(default_factory=list)
    on_its_way: list[tuple[str, bytes | None, bytes | None]] = field(default_factory=list)

    def publish(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        if value is not None and len(value) > self.max_bytes:
            raise TooLarge(f"{len(value)} bytes")
        self.on_its_way.append((topic, key, value))

    def flush(self) -> None:
        self.acknowledged += self.on_its_way
        self.on_its_way = []

    def values(self, topic: str) -> list[bytes]:
        return [value for name, _, value in self.acknowledged if name == topic and value]
