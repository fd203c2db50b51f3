"""What is known of somebody when a plan is chosen."""

from __future__ import annotations

import pytest

from streamrec.core.events import Item
from streamrec.core.replies.context import CONTEXT, context_of


def named(query: str, history: list[Item], turn: int = 0) -> dict[str, float]:
    return dict(zip(CONTEXT, context_of(query, history, turn).tolist(), strict=True))


def test_numbers_say_what_their_names_say() -> None:
    history = [Item("a", "A", categories=("x", "y")), Item("b", "B", categories=("x", "x"))]
    known = named("what is good tonight?", history, turn=1)
    assert known["variety"] == 0.5
    assert known["words"] == pytest.approx(0.2)
    assert known["asked"] == 1.0
    assert known["turn"] == pytest.approx(0.2)


def test_nobody_is_all_zeros_and_nothing_is_above_one() -> None:
    assert set(named("", []).values()) == {0.0}
    assert max(context_of("so " * 99, [], turn=99, had=10**9)) == 1.0
