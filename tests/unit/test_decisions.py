"""The index of decisions names every page, by its title, and no other."""

from __future__ import annotations

from pathlib import Path

ADR = Path(__file__).parents[2] / "docs" / "adr"


def test_the_index_lists_every_decision_by_its_title() -> None:
    listed = [
        line for line in (ADR / "README.md").read_text().splitlines() if line.startswith("- ")
    ]
    titles = {path.name: path.read_text().split("\n", 1)[0] for path in ADR.glob("0*.md")}
    expected = [
        "- [{}]({}) {}".format(title.removeprefix("# ")[:4], name, title.partition(". ")[2])
        for name, title in sorted(titles.items())
    ]
    assert expected
    assert listed == expected
