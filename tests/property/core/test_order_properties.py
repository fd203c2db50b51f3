"""Within the attribution window the order of views and clicks does not matter to a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.core.events import Interaction, Item, Kind
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import Located
from streamrec.core.state.statistics import Statistics
from streamrec.core.state.user_state import UserState
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_examples, ranking_fold
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample
from tests.fakes.kept import Kept

WINDOW_MS = 10_000
BEGIN_MS = 1_767_225_600_000
ITEMS = [Item(f"i{n}", f"Item {n}") for n in range(12)]

Step = tuple[Kind, str, str | None]  # kind, item, impression

ONE_LIST: list[Step] = [
    (Kind.VIEW, "i1", "p"), (Kind.VIEW, "i2", "p"), (Kind.VIEW, "i3", "p"),
    (Kind.CLICK, "i2", "p"),
]  # fmt: skip
TWO_CLICKS: list[Step] = [*ONE_LIST, (Kind.PURCHASE, "i2", "p"), (Kind.LIKE, "i1", "p")]
ALONE: list[Step] = [(Kind.VIEW, "i1", None), (Kind.CLICK, "i1", None)]
AGAIN: list[Step] = [*ALONE, (Kind.VIEW, "i1", None), (Kind.PURCHASE, "i1", None)]
DISLIKED: list[Step] = [(Kind.VIEW, "i1", None), (Kind.DISLIKE, "i1", None)]
NEVER_SHOWN: list[Step] = [*ONE_LIST, (Kind.CLICK, "i9", "p")]
TWO_LISTS: list[Step] = [
    (Kind.VIEW, "i1", "p"), (Kind.CLICK, "i1", "p"), (Kind.VIEW, "i1", "q"),
    (Kind.VIEW, "i2", "q"), (Kind.CLICK, "i2", "q"), (Kind.VIEW, "i5", None),
]  # fmt: skip


def learned(steps: Sequence[Step], cuts: Sequence[int] = ()) -> Counter[tuple[object, ...]]:
    """Kind and labels of every example, once the window of all has passed.

    The fold is a new one at every cut, as after a crash.
    """
    log = [
        Located(
            n,
            BEGIN_MS + n,
            Interaction(f"e{kind}{item}{list_}{n}", "u", item, kind, BEGIN_MS + n, None, list_),
        )
        for n, (kind, item, list_) in enumerate(steps)
    ]
    end = len(log)
    over = Interaction("over", "other", "i0", Kind.VIEW, BEGIN_MS + 2 * WINDOW_MS, None, "z")
    log.append(Located(end, BEGIN_MS + 2 * WINDOW_MS, over))
    catalogue = Catalogue()
    catalogue.put(ITEMS)
    rules = RankingRules(1, WINDOW_MS, sampled_negatives=3)
    kept, examples = Kept(), []
    for start, stop in zip([0, *cuts], [*cuts, len(log)], strict=True):
        fold = ranking_fold(0, rules, catalogue, Statistics(catalogue))
        kept.hand_to(fold)
        examples += ranking_examples(kept.feed(fold, log[start:stop]))
    assert all(UserState.from_record(r).to_record() == r for r in kept.users.values())
    return Counter(map(_said, examples))


def _said(example: RankingExample) -> tuple[object, ...]:
    labels = zip(example.candidates, example.labels_C.tolist(), strict=True)
    if example.kind is ExampleKind.NEXT_CLICK:
        return example.kind, example.candidates[0]
    return example.kind, frozenset(labels)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (ONE_LIST, {(ExampleKind.IMPRESSION, frozenset({("i1", 0.0), ("i2", 1.0), ("i3", 0.0)}))}),
        (ALONE, {(ExampleKind.VIEW, frozenset({("i1", 1.0)})), (ExampleKind.NEXT_CLICK, "i1")}),
        (DISLIKED, {(ExampleKind.VIEW, frozenset({("i1", 0.0)}))}),
    ],
    ids=["list", "alone", "disliked"],
)
def test_what_is_learned_is_this_and_only_once(
    steps: list[Step], expected: set[tuple[object, ...]]
) -> None:
    for order in permutations(steps):
        assert learned(order) == Counter(expected)


@pytest.mark.parametrize(
    "steps", [AGAIN, TWO_CLICKS, NEVER_SHOWN, TWO_LISTS], ids=["again", "clicks", "never", "lists"]
)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_order_teaches_the_same(steps: list[Step], data: st.DataObject) -> None:
    order = data.draw(st.permutations(steps))
    cuts = data.draw(st.sets(st.integers(1, len(steps)), max_size=3))
    assert learned(order, sorted(cuts)) == learned(steps)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_view_or_click_said_twice_teaches_nothing_more(data: st.DataObject) -> None:
    steps = data.draw(st.sampled_from([ONE_LIST, TWO_LISTS]))
    twice = data.draw(st.lists(st.sampled_from(steps), max_size=3))
    order = data.draw(st.permutations([*steps, *twice]))
    assert learned(order) == learned(steps)
