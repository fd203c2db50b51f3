"""Dead letters, an outlet and a ledger in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamrec.core.dead_letters import DeadLetterPosition, Origin, Resent
from streamrec.errors import TooLarge, Unavailable


@dataclass
class FakeProducer:
    """``sent``: (topic, key, value, headers). ``fails``: raised instead of sending."""

    sent: list[tuple[str, bytes | None, bytes | None, Mapping[str, str]]] = field(
        default_factory=list
    )
    fails: Unavailable | TooLarge | None = None

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Mapping[str, str]
    ) -> Origin:
        if self.fails:
            raise self.fails
        self.sent.append((topic, key, value, headers))
        return Origin(topic, 0, 100 + len(self.sent))


class FakeResendLedger:
    def __init__(self) -> None:
        self.kept: dict[DeadLetterPosition, Resent] = {}

    def claim(self, resent: Resent) -> Resent | None:
        before = self.kept.get(resent.letter)
        self.kept.setdefault(resent.letter, resent)
        return before

    def confirm(self, resent: Resent) -> None:
        self.kept[resent.letter] = resent

    def withdraw(self, letter: DeadLetterPosition) -> None:
        self.kept.pop(letter, None)

    def all(self) -> Mapping[DeadLetterPosition, Resent]:
        return dict(self.kept)
