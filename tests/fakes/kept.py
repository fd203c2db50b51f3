"""What a store keeps of one partition's fold, for tests that fold without a worker."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streamrec.core.state.fold import FoldResult, Located, PartitionFold
from streamrec.lab.measures.drill_check import silent


@dataclass
class Kept:
    """Records go through JSON, as they do in a store."""

    users: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, Any] = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)
    logs: dict[str, bytes] = field(default_factory=dict)
    seen_ms: dict[str, int] = field(default_factory=dict)

    def hand_to(self, fold: PartitionFold) -> None:
        """Let ``fold`` take over."""
        fold.load_rows(self.rows, self.own, self.logs)

    def feed(self, fold: PartitionFold, run: Sequence[Located], now_ms: int = 0) -> FoldResult:
        fold.put_users({user: self.users.get(user) for user in fold.missing_users(run)})
        result = fold.apply(run, now_ms, silent(self.seen_ms, fold.silent_until(run)))
        for kept, changed in (
            (self.users, result.users),
            (self.rows, result.rows),
            (self.own, result.own),
        ):
            keep(kept, json.loads(json.dumps(changed)))
        keep(self.logs, {n: b and self.logs.get(n, b"") + b for n, b in result.logs.items()})
        self.seen_ms |= result.seen_ms
        self.seen_ms = {user: at for user, at in self.seen_ms.items() if user in self.users}
        return result


def keep(kept: dict[str, Any], changed: Mapping[str, Any]) -> None:
    """None removes."""
    for name, record in changed.items():
        if record is None:
            kept.pop(name, None)
        else:
            kept[name] = record
