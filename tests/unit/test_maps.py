"""Every package says what is in it: one line for each module, none for what is gone."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import streamrec

ROOT = Path(streamrec.__file__).parent
ENTRY = re.compile(r"^(?: {4})?(\w+\.py|\w+/)\s", re.MULTILINE)


def packages() -> list[Path]:
    return sorted({path.parent for path in ROOT.rglob("*.py")} - {ROOT, ROOT / "cli"})


@pytest.mark.parametrize("package", packages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_map_of_a_package_is_complete(package: Path) -> None:
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text()), clean=False) or ""
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    groups = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert sorted(ENTRY.findall(text)) == sorted(modules | groups)
