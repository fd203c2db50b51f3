"""Views and clicks that name a wording become examples that hold each impression once."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.core.events import Interaction, Item, Kind, Variant
from streamrec.core.examples import TrainingBatch
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import Located, PartitionFold
from streamrec.core.state.run import FoldRules
from streamrec.core.state.statistics import Statistics
from streamrec.core.tasks import COPY
from streamrec.core.variants.credit import named
from streamrec.core.variants.unlearned import CLICKS, UNLEARNED
from streamrec.tasks.copy.example_maker import example_source
from streamrec.tasks.copy.examples import FEATURE_SET, CopyExample, check

WORDS = {"x": "One way", "y": "Another way", "z": "No way"}
ITEM = Item("a", "Plain", variants=tuple(Variant(name, title) for name, title in WORDS.items()))
PLAIN = Item("b", "Plain")


def event(number: int, kind: Kind, wording: str | None, item_id: str = "a") -> Located:
    user = f"u{number}"
    listed = None if wording is None else named(f"r{number}", user, {item_id: wording})
    made = Interaction(
        f"e{number}-{kind}", user, item_id, kind, 1_000 + number, recommendation_id=listed
    )
    return Located(number * 2 + (kind is Kind.CLICK), 1_000 + number, made)


def shown(number: int, wording: str | None, *, clicked: bool) -> list[Located]:
    kinds = [Kind.VIEW, *([Kind.CLICK] if clicked else [])]
    return [event(number, kind, wording) for kind in kinds]


class Folding:
    """A partition's fold that keeps its rows, and can be thrown away and taken over."""

    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self.catalogue.put([ITEM, PLAIN])
        self.rows: dict[str, dict] = {}
        self.users: dict[str, dict | None] = {}
        self.examples: list[CopyExample] = []
        self.take_over()

    def take_over(self) -> None:
        source, statistics = example_source(), Statistics(self.catalogue)
        makers = {COPY: source.make(0, self.catalogue, statistics)}
        self.fold = PartitionFold(
            0, FoldRules(), self.catalogue, statistics, makers=makers, counters=source.counters
        )
        self.fold.load_rows(self.rows)

    def run(self, events: list[Located]) -> None:
        missing = self.fold.missing_users(events)
        self.fold.put_users({user: self.users.get(user) for user in missing})
        result = self.fold.apply(events, now_ms=0)
        self.users |= result.users
        self.rows |= {key: row for key, row in result.rows.items() if row is not None}
        self.examples += result.examples[COPY]

    def counted(self) -> Counter[str]:
        """Views of wordings by text in examples, and what is not in one yet."""
        total: Counter[str] = Counter()
        for example in self.examples:
            for text, views in zip(example.texts, example.views_A, strict=True):
                total[text] += int(views)
        return total


impressions = st.lists(
    st.tuples(st.sampled_from(["x", "y", "z", None]), st.booleans()), min_size=1, max_size=150
)


@settings(max_examples=40, deadline=None)
@given(impressions, st.lists(st.integers(1, 60), max_size=8), st.integers(0, 5))
def test_each_impression_is_in_one_example_however_the_log_is_cut(
    seen: list[tuple[str | None, bool]], cuts: list[int], lost_at: int
) -> None:
    log = [
        at for n, (wording, clicked) in enumerate(seen) for at in shown(n, wording, clicked=clicked)
    ]
    whole, cut = Folding(), Folding()
    whole.run(log)
    start = 0
    for number, size in enumerate([*cuts, len(log)]):
        if run := log[start : start + size]:
            cut.run(run)
        start += size
        if number == lost_at:
            cut.take_over()  # memory lost: only what was committed is there
    one, other = ([vars_of(example) for example in made.examples] for made in (whole, cut))
    assert one == other
    views = Counter(WORDS[wording] for wording, _ in seen if wording)
    held = whole.counted()
    assert all(held[text] <= views[text] for text in WORDS.values())
    clicks = sum(clicked for wording, clicked in seen if wording)
    assert len(whole.examples) <= clicks // CLICKS
    if clicks >= CLICKS and len({wording for wording, _ in seen if wording}) == 1:
        assert not whole.examples  # one wording alone says nothing of words
    check(TrainingBatch(0, 0, len(log), FEATURE_SET, whole.examples))


def vars_of(example: CopyExample) -> tuple[object, ...]:
    return (
        example.offset,
        example.texts,
        example.views_A.tolist(),
        example.clicks_A.tolist(),
        example.user_id,
    )


def test_what_an_example_says() -> None:
    made = Folding()
    log = [at for n in range(60) for at in shown(n, "xy"[n % 2], clicked=n % 3 == 0)]
    made.run(log)
    (example,) = made.examples
    assert example.item_id == "a"
    assert example.texts == ("One way", "Another way")
    assert example.clicks_A.sum() == CLICKS
    assert example.views_A.tolist() == [29.0, 29.0]
    assert example.user_id == ""
    rest = made.rows[UNLEARNED.rows + "a"]["v"]
    assert np.array(rest).reshape(-1, 3)[:, 1].sum() == 2


def test_who_insists_counts_once_and_an_item_without_wordings_makes_none() -> None:
    made = Folding()
    clicks = [
        Located(
            n,
            1_000,
            Interaction(
                f"e{n}", "u", "a", Kind.CLICK, 1_000, recommendation_id=named("r", "u", {"a": "x"})
            ),
        )
        for n in range(80)
    ]
    made.run(clicks)
    made.run([event(1_000 + n, Kind.CLICK, "x", "b") for n in range(40)])
    assert not made.examples
