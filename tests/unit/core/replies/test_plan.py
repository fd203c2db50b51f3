"""What a reply can be asked to be."""

from __future__ import annotations

import pytest

from streamrec.core.replies.plan import PLANS, Length, Plan, Tone


def test_every_plan_is_asked_for_in_words_of_its_own() -> None:
    assert len({plan.phrase for plan in PLANS}) == len(PLANS) == 16


def test_places_are_kept_and_half_of_the_plans_have_each_trait() -> None:
    assert PLANS[0] == Plan()
    assert PLANS[15] == Plan(Tone.WARM, Length.LONG, history=True, named=2, question=True)
    traits = [(p.tone is Tone.WARM, p.named == 2, p.history, p.question) for p in PLANS]
    assert [sum(column) for column in zip(*traits, strict=True)] == [8, 8, 8, 8]


@pytest.mark.parametrize("named", [0, 4])
def test_more_items_than_fit_are_refused(named: int) -> None:
    with pytest.raises(ValueError, match="1 to 3"):
        Plan(named=named)
