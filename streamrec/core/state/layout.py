"""Over how many partitions the state of users is laid out.

It is one with the number of partitions of ``events`` until somebody adds some: from then on
producers send a user's events elsewhere than where the user is known. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class UserLayout:
    """``former``: numbers of partitions that producers may still go by. ``moving_to``: a migration
    that has begun and not ended, 0 for none; ``copied``: only the old places are left to clear."""

    partitions: int
    former: tuple[int, ...] = ()
    moving_to: int = 0
    copied: bool = False

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> UserLayout:
        former = tuple(record["former"])
        return cls(record["partitions"], former, record["moving_to"], record["copied"])

    def to_record(self) -> dict[str, Any]:
        return {
            "partitions": self.partitions,
            "former": list(self.former),
            "moving_to": self.moving_to,
            "copied": self.copied,
        }

    def moved(self) -> UserLayout:
        """When the migration has ended."""
        return UserLayout(self.moving_to, (*self.former, self.partitions))

    def mismatch(self, count: int) -> str | None:
        """What is wrong with ``count`` partitions of ``events``, and what to do; None: nothing."""
        if self.moving_to:
            return (
                f"the state is on its way from {self.partitions} to {self.moving_to} partitions: "
                "`streamrec state migrate --yes` ends it"
            )
        if count > self.partitions:
            return (
                f"events has {count} partitions, the state of users is laid out for "
                f"{self.partitions}: workers read what was sent by the old number and wait; stop "
                "them, then `streamrec state migrate`"
            )
        if count < self.partitions:
            return (
                f"events has {count} partitions, the state of users is laid out for "
                f"{self.partitions}: make it again with {self.partitions}"
            )
        return None
