"""However examples come, no source exceeds its quota, and who is below it is untouched."""

from __future__ import annotations

from collections import Counter, deque

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamrec.tasks.ranking.examples import ExampleKind, RankingExample
from streamrec.tasks.ranking.quota import Quota, QuotaRules

NOTHING = np.zeros((3, 0), np.float32)

rules = st.builds(QuotaRules, st.integers(1, 40), st.floats(0.02, 1.0), st.floats(0.02, 1.0))
streams = st.lists(
    st.tuples(
        st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.sampled_from(ExampleKind)
    ),
    max_size=150,
)


def example(user: int, first: int, second: int, kind: ExampleKind) -> RankingExample:
    """Accepts one or two items; a view alone accepts none and speaks against the first."""
    candidates = (f"i{first}", f"i{second}", "never")
    labels = np.array([1, 1, 0] if kind is not ExampleKind.VIEW else [0, 0, 0], np.float32)
    return RankingExample(
        0, 0, 0, f"u{user}", 0, kind, 0, (), candidates, labels, NOTHING, np.zeros(3, np.float32)
    )


def items_of(one: RankingExample) -> set[str]:
    return {one.candidates[0]} if one.kind is ExampleKind.VIEW else set(one.candidates[:2])


@given(rules, streams)
def test_no_user_or_item_exceeds_its_share_of_any_window(limits, stream):
    examples = [example(*one) for one in stream]
    weights = Quota(limits).weigh(examples).tolist()
    assert all(0.0 <= weight <= 1.0 for weight in weights)
    for end in range(1, len(examples) + 1):
        begin = max(0, end - limits.window)
        users, items = Counter(), Counter()
        for one, weight in zip(examples[begin:end], weights[begin:end], strict=True):
            users[one.user_id] += weight
            for item in items_of(one):
                items[item] += weight
        assert max(users.values()) <= limits.user_share * limits.window + 1e-4
        assert max(items.values()) <= limits.item_share * limits.window + 1e-4


@given(rules, streams)
def test_who_is_below_the_quota_weighs_one(limits, stream):
    examples, before = [example(*one) for one in stream], deque(maxlen=limits.window - 1)
    for one, weight in zip(examples, Quota(limits).weigh(examples).tolist(), strict=True):
        mine = sum(other.user_id == one.user_id for other in before) + 1
        of_items = [sum(item in items_of(other) for other in before) + 1 for item in items_of(one)]
        user_fits = mine <= limits.user_share * limits.window
        items_fit = max(of_items) <= limits.item_share * limits.window
        if user_fits and items_fit:
            assert weight == 1.0
        before.append(one)


@given(rules, streams, st.integers(0, 150))
def test_a_resumed_quota_gives_the_same_weights(limits, stream, cut):
    examples = [example(*one) for one in stream]
    whole = Quota(limits).weigh(examples)
    first, second = Quota(limits), Quota(limits)
    begun = first.weigh(examples[:cut])
    second.load_state(first.state())
    assert np.array_equal(np.concatenate([begun, second.weigh(examples[cut:])]), whole)


@given(rules, streams, st.lists(st.integers(1, 20)))
def test_how_examples_are_batched_changes_nothing(limits, stream, sizes):
    examples = [example(*one) for one in stream]
    quota, begin, parts = Quota(limits), 0, []
    for size in [*sizes, len(examples)]:
        parts.append(quota.weigh(examples[begin : begin + size]))
        begin += size
    assert np.array_equal(np.concatenate(parts), Quota(limits).weigh(examples))
