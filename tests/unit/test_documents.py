"""Links and file names in the documents lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_exist(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text())
    missing = [link for link in links if not (document.parent / link).exists()]
    assert missing == []


def test_every_module_the_readme_names_exists() -> None:
    tree = (ROOT / "README.md").read_text().split("## The tree")[1].split("## Numbers")[0]
    named = set(re.findall(r"\b(\w+\.py)\b", tree))
    there = {
        path.name for folder in ("streamrec", "workers") for path in (ROOT / folder).rglob("*.py")
    }
    assert named - there == set()
    assert len(named) > 10
