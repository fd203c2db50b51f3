"""Which events a partition has counted lately: eight bytes of each, so that none counts twice.

An id is remembered for a horizon of event time after the later of its event's own time and the
partition's time when it was counted. They lie in buckets of six hours; what is stored of a bucket
is only appended to, and dropped whole.

An event is named by a 64-bit digest of its user and its id: that another one of n remembered has
the same digest, and it is taken for a repetition, has odds of n / 2^64: for 18 million, one in a
million million.

Legend: R events of a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.core.state.user_state import UserState

OWN = "e/"
"""Prefix of the keys of its own rows, one for each bucket; its log has the bucket's number."""
WIDTH_MS = 6 * 3_600_000
AHEAD_MS = 86_400_000
"""No id is remembered longer because its event's clock was further ahead than this."""
FRESH = 4_096
"""Ids of a bucket that wait, unsorted, before they are sorted in."""

Digests = NDArray[np.uint64]
STORED = np.dtype("<u8")


def digest(user_id: str, event_id: str) -> int:
    """What stands for an event; 64 bits."""
    user, event = (text.encode("utf-8", "surrogatepass") for text in (user_id, event_id))
    name = len(user).to_bytes(4, "little") + user + event
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little")


class _Bucket:
    """Sorted digests, and the few that came last."""

    def __init__(self, stored: Digests | None = None) -> None:
        self._sorted_N: Digests = np.sort(stored) if stored is not None else np.empty(0, np.uint64)
        self._fresh: set[int] = set()
        self.stored = len(self._sorted_N)  # digests in its log

    def __len__(self) -> int:
        return len(self._sorted_N) + len(self._fresh)

    def add(self, digests: Sequence[int]) -> None:
        self._fresh.update(digests)
        self.stored += len(digests)
        if len(self._fresh) > max(FRESH, len(self._sorted_N) // 8):
            fresh = np.fromiter(self._fresh, np.uint64, len(self._fresh))
            self._sorted_N = np.sort(np.concatenate([self._sorted_N, fresh]))
            self._fresh = set()

    def digests(self) -> list[int]:
        return [*self._sorted_N.tolist(), *self._fresh]

    def has(self, digests_R: Digests) -> NDArray[np.bool_]:
        found_R = np.fromiter((d in self._fresh for d in digests_R.tolist()), bool, len(digests_R))
        if len(self._sorted_N):
            at_R = np.searchsorted(self._sorted_N, digests_R)
            found_R |= self._sorted_N[np.minimum(at_R, len(self._sorted_N) - 1)] == digests_R
        return found_R


class KnownIds:
    """Mutable: the fold owns it, and tells it the time: the partition's watermark."""

    def __init__(self, horizon_ms: int) -> None:
        self.horizon_ms = horizon_ms
        self._buckets: dict[int, _Bucket] = {}
        self._found: dict[int, int] = {}  # of this run: newest bucket by digest
        self._added: dict[int, list[int]] = {}  # not taken yet: digests by bucket

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def look_up(self, digests: Sequence[int]) -> None:
        """Those that ``known`` will be asked about until ``take`` is called."""
        digests_R = np.array(digests, np.uint64)
        for number in sorted(self._buckets):
            hits = digests_R[self._buckets[number].has(digests_R)]
            self._found |= dict.fromkeys(hits.tolist(), number)

    def known(self, one: int, watermark_ms: int) -> bool:
        number = self._found.get(one)
        return number is not None and self._lives(number, watermark_ms)

    def add(self, one: int, at_ms: int, watermark_ms: int) -> None:
        """Remember an event that occurred ``at_ms``."""
        counted_ms = min(max(at_ms, watermark_ms), watermark_ms + AHEAD_MS)
        number = counted_ms // WIDTH_MS
        if self._found.get(one, -1) < number:
            self._found[one] = number
            self._added.setdefault(number, []).append(one)

    def forgotten(self, at_ms: int, state: UserState, watermark_ms: int) -> bool:
        """Whether an event of a user that occurred ``at_ms`` may have been counted, and forgotten.

        It has not if it is newer than all of the user's events that may be forgotten.
        """
        if watermark_ms - at_ms < self.horizon_ms:
            return False
        return at_ms <= state.remembered(watermark_ms, self.horizon_ms).ids_until_ms

    def brought_up(self, user_id: str, state: UserState, watermark_ms: int) -> UserState:
        """A user's state with its marks as of now; ids that version 0.1 kept there come here."""
        for event_id in state.recent_events:
            self.add(digest(user_id, event_id), state.last_seen_ms, watermark_ms)
        current = state.remembered(watermark_ms, self.horizon_ms)
        return replace(current, recent_events=()) if current.recent_events else current

    def take(self, watermark_ms: int) -> tuple[dict[str, Any], dict[str, bytes | None]]:
        """Own rows and logs as a commit writes them; None: removed."""
        own: dict[str, Any] = {}
        logs: dict[str, bytes | None] = {}
        self._draw_in((watermark_ms + AHEAD_MS) // WIDTH_MS)
        for number, digests in sorted(self._added.items()):
            if self._lives(number, watermark_ms):
                bucket = self._buckets.setdefault(number, _Bucket())
                bucket.add(digests)
                own[f"{OWN}{number}"] = {"n": bucket.stored}
                logs[f"{OWN}{number}"] = np.array(digests, STORED).tobytes()
        for number in [n for n, b in self._buckets.items() if not self._keeps(n, b, watermark_ms)]:
            del self._buckets[number]
            own[f"{OWN}{number}"] = logs[f"{OWN}{number}"] = None
        self._found, self._added = {}, {}
        return own, logs

    def load(self, own: Mapping[str, Any], logs: Mapping[str, bytes]) -> None:
        """Buckets as ``take`` gave them; ``logs``: those that ``stored`` named.

        Raises:
            ValueError: a log does not hold what its row says.
        """
        self._buckets = {}
        for name in stored(own):
            digests = np.frombuffer(logs[name], STORED).astype(np.uint64)
            if len(digests) != own[name]["n"]:
                raise ValueError(f"{name}: {len(digests)} event ids, not {own[name]['n']}")
            self._buckets[int(name.removeprefix(OWN))] = _Bucket(digests)

    def _draw_in(self, last: int) -> None:
        """Time went back (a clock that was far ahead was overruled): nothing stays beyond it."""
        for number in [n for n in self._added if n > last]:
            self._added.setdefault(last, []).extend(self._added.pop(number))
        for number in [n for n in self._buckets if n > last]:
            self._added.setdefault(last, []).extend(self._buckets[number].digests())
            self._buckets[number] = _Bucket()

    def _keeps(self, number: int, bucket: _Bucket, watermark_ms: int) -> bool:
        return len(bucket) > 0 and self._lives(number, watermark_ms)

    def _lives(self, number: int, watermark_ms: int) -> bool:
        return (number + 1) * WIDTH_MS > watermark_ms - self.horizon_ms


def stored(own: Mapping[str, Any]) -> list[str]:
    """Names of the logs that belong to own rows."""
    return [name for name in own if name.startswith(OWN)]
