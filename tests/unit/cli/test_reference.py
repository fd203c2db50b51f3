"""docs/reference says what the code says."""

from __future__ import annotations

import pytest

from tests.reference import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_up_to_date(name: str) -> None:
    there = (FOLDER / name).read_text("utf-8")
    assert there == PAGES[name](), "`make reference` (python -m tests.reference) writes it anew"


def test_no_page_is_left_behind() -> None:
    assert {path.name for path in FOLDER.glob("*.md")} == set(PAGES)
