"""Rows of a category, or with an attribute, are those whose items say so, whatever has changed."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.core.events import Item
from streamrec.core.state.catalogue import MAX_CATEGORIES, Catalogue

names = st.sampled_from("abc")
items = st.builds(
    lambda n, categories, attributes, there: Item(
        f"i{n}", "", categories=tuple(categories), attributes=attributes, available=there
    ),
    st.integers(0, 5),
    st.lists(names, max_size=3),
    st.dictionaries(names, names, max_size=2),
    st.booleans(),
)


@settings(deadline=None)
@given(
    changes=st.lists(st.lists(items, max_size=4), min_size=1, max_size=8),
    categories=st.lists(names, max_size=2),
    attributes=st.dictionaries(names, names, max_size=2),
)
def test_what_is_found_is_what_every_item_says(
    changes: list[list[Item]], categories: list[str], attributes: dict[str, str]
) -> None:
    catalogue = Catalogue(reclaims=True, held=1)
    for changed in changes:
        catalogue.put(changed)
        expected = [
            (not categories or not set(categories).isdisjoint(item.categories))
            and all(item.attributes.get(name) == value for name, value in attributes.items())
            for item in map(catalogue.item, range(len(catalogue)))
        ]
        found_N = catalogue.having(categories, attributes)
        np.testing.assert_array_equal(found_N, np.array(expected, np.bool_))


def test_a_category_that_counts_in_no_feature_is_found() -> None:
    catalogue = Catalogue()
    many = tuple(f"c{n}" for n in range(MAX_CATEGORIES + 2))
    catalogue.put([Item("i", "", categories=many), Item("j", "")])
    assert catalogue.having([many[-1]], {}).tolist() == [True, False]
