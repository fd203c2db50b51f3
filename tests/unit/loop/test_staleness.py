"""What is too old to be answered, and when that matters."""

from __future__ import annotations

import logging
from dataclasses import replace

from streamrec.core import topics
from streamrec.errors import Malformed
from streamrec.loop.serving.staleness import StaleTriggers
from tests.unit.loop.serving import update

AT_MS = 1_767_323_044_000
FRESH, OLD = update("ana", 1, AT_MS), update("ben", 2, AT_MS - 31_000)


def test_a_worker_that_is_behind_leaves_out_what_is_old_and_says_so(caplog) -> None:
    stale = StaleTriggers(30, full=2)
    with caplog.at_level(logging.WARNING):
        fresh, counts = stale.split([OLD, FRESH], AT_MS)
        stale.split([OLD, OLD], AT_MS + 1)
    assert fresh == [FRESH]
    assert counts == {topics.USER_UPDATES: 1}
    (said,) = caplog.messages
    assert "1 of user-updates older than 30 s" in said


def test_one_that_is_not_behind_answers_everything() -> None:
    assert StaleTriggers(30, full=3).split([OLD, FRESH], AT_MS) == ([OLD, FRESH], {})
    assert StaleTriggers(0, full=2).split([OLD, FRESH], AT_MS) == ([OLD, FRESH], {})


def test_what_cannot_be_read_goes_to_the_dead_letters_at_any_age() -> None:
    broken = replace(OLD, value=Malformed("broken"))
    assert StaleTriggers(30, full=1).split([broken], AT_MS)[0] == [broken]
