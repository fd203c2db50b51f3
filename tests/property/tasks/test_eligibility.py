"""Eligibility against a plain reading of its rules."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamrec.core.events import Filters, Item
from streamrec.core.state.catalogue import Catalogue
from streamrec.tasks.ranking.lists.eligibility import eligible

IDS = [f"i{n}" for n in range(8)]
names = st.lists(st.sampled_from([*IDS, "unknown"]), max_size=4)
attributes = st.dictionaries(st.sampled_from(["lang", "year"]), st.sampled_from("ab"), max_size=2)
categories = st.lists(st.sampled_from("xyz"), max_size=2)
items = st.tuples(
    *(
        st.builds(Item, st.just(name), st.just(name), st.just(""), categories.map(tuple),
                  attributes, st.booleans())
        for name in IDS
    )
)  # fmt: skip


filters_given = st.builds(Filters, categories.map(tuple), names.map(tuple), attributes)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(items, st.integers(0, 8), names, filters_given, names)
def test_rows_are_eligible_exactly_when_every_rule_says_so(
    items, rows, consumed, filters, candidates
) -> None:
    catalogue = Catalogue()
    catalogue.put(items)
    got = eligible(catalogue, rows, consumed, filters, candidates)
    expected = [
        item.available
        and item.item_id not in consumed
        and item.item_id not in filters.exclude_items
        and (not candidates or item.item_id in candidates)
        and (not filters.categories or bool(set(filters.categories) & set(item.categories)))
        and all(item.attributes.get(name) == value for name, value in filters.attributes.items())
        for item in items[:rows]
    ]
    assert got.tolist() == expected
