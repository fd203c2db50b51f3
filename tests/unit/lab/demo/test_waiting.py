"""Waiting for what is missing, while somebody looks after the loop."""

from __future__ import annotations

import pytest

from streamrec.errors import Unavailable
from streamrec.lab.demo.waiting import insist_on, wait_for


def test_it_goes_on_until_nothing_is_missing() -> None:
    turns: list[int] = []
    said = ["two workers", "one worker", ""]
    assert wait_for(lambda: said.pop(0), 60.0, lambda: turns.append(len(said))) == ""
    assert turns == [3, 2, 1]  # a turn before each look


def test_what_is_away_is_what_is_missing() -> None:
    answers = iter([True, False])

    def missing() -> str:
        if next(answers):
            raise Unavailable("Redis does not answer")
        return ""

    assert wait_for(missing, 60.0, list) == ""
    answers = iter([True])
    assert wait_for(missing, -1.0, list) == "Redis does not answer"


def test_insisting_says_what_is_missing_in_the_end() -> None:
    with pytest.raises(Unavailable, match="one worker"):
        insist_on(lambda: "one worker", -1.0, list)
    insist_on(lambda: "", -1.0, list)
