"""A clock that only moves when told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FakeClock:
    at_ms: int = 1_767_323_045_000

    def now_ms(self) -> int:
        return self.at_ms

    def pass_ms(self, ms: int) -> None:
        self.at_ms += ms
