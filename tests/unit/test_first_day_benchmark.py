"""benchmarks/first_day.py: which examples a way of teaching gives to which head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.first_day import WAYS, Gains, Taught, table
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample


class Told:
    """Stands for a learner: keeps the offsets of what it is taught."""

    def __init__(self) -> None:
        self.offsets: list[int] = []

    def learn(self, examples: list[RankingExample]) -> None:
        self.offsets += [one.offset for one in examples]


def example(offset: int, kind: ExampleKind) -> RankingExample:
    nothing = np.zeros(1, np.float32)
    return RankingExample(
        partition=0, offset=offset, index=0, user_id="ann", produced_at_ms=0, kind=kind,
        shown_at_ms=0, history=(), candidates=("a",), labels_C=nothing,
        stats_CF=np.zeros((1, 0), np.float32), log_q_C=nothing,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("way", "first_head", "last_head"),
    [
        ("as it is", [0, 1, 2, 3], [0, 1, 2, 3]),
        ("anew at the first list", [0], [1, 2, 3]),
        ("anew at the first list, then lists alone", [0], [2]),
        ("lists alone", [2], [2]),
    ],
)
def test_what_each_way_teaches(way: str, first_head: list[int], last_head: list[int]) -> None:
    heads: list[Any] = []

    def new() -> Any:
        heads.append(Told())
        return heads[-1]

    taught = Taught(WAYS[way], new)
    taught.learn([example(0, ExampleKind.NEXT_CLICK)])
    taught.learn([example(1, ExampleKind.NEXT_CLICK), example(2, ExampleKind.IMPRESSION)])
    taught.learn([example(3, ExampleKind.NEXT_CLICK)])
    assert (heads[0].offsets, heads[-1].offsets) == (first_head, last_head)


def test_the_table_pairs_lists_with_those_of_the_loop_as_it_is() -> None:
    users = ["ann", "bob"] * 20
    base, better = (Gains(np.full(40, auc, np.float32), users, 50) for auc in (0.5, 0.75))
    lines = list(table({"as it is": [base], "lists alone": [better]}))
    assert lines[0].startswith("50 lists, 40 with both outcomes")
    assert "| lists alone | 0.7500 | +0.2500 [+0.2500, +0.2500] | 0.7500 |" in lines
