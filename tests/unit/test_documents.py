"""Links, file names and module names in the documents lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
DOCUMENTS = [*TOP, *sorted((ROOT / "docs").rglob("*.md"))]
CODE = ("streamrec", "workers", "benchmarks", "tests", "schemas")
PACKAGES = sorted(path.parent.name for path in (ROOT / "streamrec").glob("*/__init__.py"))

FILE_NAME = re.compile(r"(?<![\w./<-])((?:[\w-]+/)*[\w-]+\.(?:py|lua|avsc))\b")
MODULE_NAME = re.compile(
    rf"(?<![\w./-])(?:streamrec\.)?((?:{'|'.join(PACKAGES)})(?:\.\w+)+"
    r"|(?:benchmarks|workers)\.[a-z]\w*)"
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_exist(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text())
    missing = [link for link in links if not (document.parent / link).exists()]
    assert missing == []


def test_every_module_the_readme_names_exists() -> None:
    tree = (ROOT / "README.md").read_text().split("## The tree")[1].split("\n## ")[0]
    named = set(re.findall(r"\b(\w+\.py)\b", tree))
    there = {
        path.name for folder in ("streamrec", "workers") for path in (ROOT / folder).rglob("*.py")
    }
    assert named - there == set()
    assert len(named) > 10


def files() -> set[str]:
    return {
        f"/{path.relative_to(ROOT).as_posix()}"
        for folder in CODE
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".lua", ".avsc"}
    }


def prose(document: Path) -> str:
    """The text; of the two whose code makes new files and is executed, without it."""
    text = document.read_text()
    if document.name not in ("extending.md", "tutorial.md"):
        return text
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def exists(module: str) -> bool:
    """A module, a package, or a name defined in a module."""
    path = Path(module.replace(".", "/"))
    return any(
        (root / path).with_suffix(".py").exists()
        or (root / path / "__init__.py").exists()
        or (root / path.parent).with_suffix(".py").exists()
        for root in (ROOT, ROOT / "streamrec")
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_a_document_names_exists(document: Path) -> None:
    there = files()
    named = set(FILE_NAME.findall(prose(document)))
    missing = [name for name in named if not any(path.endswith(f"/{name}") for path in there)]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_a_document_names_exists(document: Path) -> None:
    named = set(MODULE_NAME.findall(prose(document)))
    assert [name for name in named if not exists(name)] == []


def rows(document: Path) -> list[str]:
    """Of every table, without its head."""
    tables = re.findall(r"(?:^\|.*\n)+", document.read_text(), flags=re.MULTILINE)
    return [row for table in tables for row in table.splitlines()[2:]]


@pytest.mark.parametrize("row", rows(ROOT / "docs/interoperability.md"))
def test_every_row_on_interoperability_names_a_test_that_exists(row: str) -> None:
    named = re.findall(r"`(\w+\.py)::(\w+)`", row.rsplit("|", 2)[1])
    assert named, "the last cell names no test"
    for file, test in named:
        texts = [path.read_text() for path in (ROOT / "tests").rglob(file)]
        assert any(f"def {test}(" in text for text in texts), f"{file}::{test} is not there"
