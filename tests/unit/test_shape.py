"""The shape of the house: what may grow only by a decision, counted."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST_MODULE = 400
PROTOCOLS = 25
CHAINS = 60
LONG_CHAIN = 4  # a.b.c.d
P90_LINES = 20
PRIVATE_NAMES = 1
PATCHES = 8

MODULES = {path: path.read_text() for path in sorted((ROOT / "streamrec").rglob("*.py"))}
TREES = {path: ast.parse(text) for path, text in MODULES.items()}
TESTS = {path: path.read_text() for path in sorted((ROOT / "tests").rglob("*.py"))}


def every(*kinds: type) -> Iterator[ast.AST]:
    return (node for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, kinds))


def test_no_module_is_long() -> None:
    lines = {str(path.relative_to(ROOT)): text.count("\n") for path, text in MODULES.items()}
    assert {path: count for path, count in lines.items() if count > LONGEST_MODULE} == {}


def test_class_names_are_unique() -> None:
    names = Counter(node.name for node in every(ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


def test_few_protocols() -> None:
    found = [node.name for node in every(ast.ClassDef) if "Protocol" in map(base, node.bases)]
    assert len(found) <= PROTOCOLS, found


def base(node: ast.expr) -> str:
    return ast.unparse(node).partition("[")[0].rpartition(".")[2]


def test_most_functions_are_short() -> None:
    found = every(ast.FunctionDef, ast.AsyncFunctionDef)
    lines = sorted(node.end_lineno - node.lineno + 1 for node in found)
    assert lines[int(0.9 * len(lines))] < P90_LINES


def test_few_chains_of_names() -> None:
    found = [ast.unparse(node) for tree in TREES.values() for node in chains(tree)]
    assert len(found) < CHAINS, found


def chains(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Those of ``LONG_CHAIN`` names or more, each once."""
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    inner = {id(node.value) for node in attributes}
    return (node for node in attributes if id(node) not in inner and names(node) >= LONG_CHAIN)


def names(node: ast.expr) -> int:
    """In a chain of them; 0 where it begins with something else."""
    count = 1
    while isinstance(node, ast.Attribute):
        node, count = node.value, count + 1
    return count if isinstance(node, ast.Name) else 0


def test_tests_keep_to_public_names() -> None:
    reached = re.compile(r"(?<!\bself)(?<!\bcls)\._[a-z]\w*|import .*\b_[a-z]\w*")
    found = [one for path, text in TESTS.items() for one in places(path, text, reached)]
    assert len(found) <= PRIVATE_NAMES, "\n".join(found)


def test_tests_hand_things_in_and_patch_nothing() -> None:
    patched = re.compile(r"\b(monkeypatch|patch)\.(setattr|setitem|delattr|delitem)\(")
    found = [one for path, text in TESTS.items() for one in places(path, text, patched)]
    assert len(found) <= PATCHES, "\n".join(found)


def places(path: Path, text: str, pattern: re.Pattern[str]) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if pattern.search(line) and path != Path(__file__):
            yield f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
