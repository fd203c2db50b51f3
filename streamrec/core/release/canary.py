"""Who gets the new generation first: a share of the users, always the same ones.

Knows how a user is assigned. Does not know what a canary is worth (``core.release.live_metric``,
``core.release.sequential_test``) or when it ends (``core.release.transitions``,
``loop.releasing.release``).

The assignment is a function of the salt and the user id alone, so every worker, every
process that counts outcomes and every drill agrees without a word. The salt is the
generation's id: another generation is tried on other people.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

_BITS = 64


@dataclass(frozen=True, slots=True)
class Canary:
    """A generation that answers ``share`` of the users while the champion answers the rest."""

    generation: str
    share: float  # in (0, 1)
    salt: str
    since_ms: int

    def gets(self, user_id: str) -> bool:
        """Whether this user is among the share."""
        return position(self.salt, user_id) < self.share


def position(salt: str, user_id: str) -> float:
    """Where a user stands in [0, 1), uniformly over users and independently over salts."""
    text = f"{len(salt)}:{salt}{user_id}".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(text, digest_size=_BITS // 8).digest()
    return (int.from_bytes(digest, "big") >> (_BITS - 53)) / (1 << 53)
