"""docs/extending.md does what it shows: its code is executed, in a copy of the package."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import streamrec

ROOT = Path(streamrec.__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

THE_WHOLE_WAY = """
import numpy as np
from streamrec.core.events import Source
from streamrec.ports import Writes
from streamrec.tasks.ranking.features import FEATURES, user_features
from streamrec.tasks.ranking.lists.reasons import ReasonInputs, reason
from streamrec.tasks.ranking.lists.state_mirror import Mirror
from streamrec.core.state.catalogue import item_record
from tests.fakes.store import FakePartitionStore

store = FakePartitionStore()
items = {i: item_record(catalogue.item(catalogue.row(i))) for i in ("bread", "soup")}
store.commit(Source("items", 0), 0, 2, Writes(rows=items))
store.commit(Source("events", 0), 0, 3, Writes(rows=stored))
mirror = Mirror(store, {"items": 1, "events": 1})
mirror.refresh()
with mirror.view() as view:
    user_U = np.array([user_features(fold.user("ben"), 0)])
    stats_CF = view.features.features([()], user_U, np.arange(2), np.zeros(2, np.intp))
hour = FEATURES.index("hour_lift")
standard = np.where(np.arange(len(FEATURES)) == hour, stats_CF, -1.0)
parts = np.array([group == "popularity" for group in GROUPS], np.float32)
at = {name: place for place, name in enumerate(FEATURES)}
for row in range(2):
    print(reason(ReasonInputs(parts, stats_CF[row], standard[row], at, None, None)) or "-")
"""


def blocks(heading: str) -> list[tuple[str, str]]:
    """Language and text of the code blocks under a heading of the page."""
    section = PAGE.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return BLOCK.findall(section)


def apply_diff(root: Path, diff: str) -> None:
    """A diff without line numbers: what stands before must be there, once."""
    first, _, rest = diff.partition("\n")
    path = root / first.removeprefix("--- ")
    text = path.read_text()
    for hunk in rest.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    path.write_text(text)


def executed(root: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": f"{root}:{ROOT}", "OMP_NUM_THREADS": "1"},
        cwd=root, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "streamrec", tmp_path / "streamrec", ignore=ignored)
    return tmp_path


def test_a_live_statistic_is_one_file_and_one_line(copy: Path) -> None:
    found = blocks("Add a live statistic")
    assert [language for language, _ in found] == ["python", "diff", "python", "text"]
    (_, declaration), (_, diff), (_, script), (_, printed) = found
    path = copy / declaration.split("\n", 1)[0].removeprefix("# ")
    assert not path.exists()
    path.write_text(declaration)
    apply_diff(copy, diff)
    assert diff.count("\n+") == 2  # the import and the name
    assert executed(copy, script + THE_WHOLE_WAY) == printed + "-\nchosen at this hour\n"
