"""The table of values in the chart's README, from the comments of values.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.chart.files import CHART
from tests.reference.markdown import table

BEGIN, END = "<!-- values: `python -m tests.chart` makes the table -->\n", "<!-- /values -->"
KEY = re.compile(r"^( *)([\w]+):(.*)$")
SAID = "# -- "


def readme_file() -> str:
    """The README with its table made anew."""
    text = (CHART / "README.md").read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = [(f"`{path}`", f"`{json.dumps(value)}`", doc) for path, value, doc in values()]
    return f"{before}{BEGIN}\n{table(('value', 'default', 'meaning'), rows)}\n{END}{after}"


def values() -> Iterator[tuple[str, Any, str]]:
    """Path, default and meaning of each value; a group that says something is one row."""
    whole = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    told = dict(_said((CHART / "values.yaml").read_text("utf-8").splitlines()))
    yield from _rows(whole, "", told)


def _rows(value: Any, path: str, told: dict[str, str]) -> Iterator[tuple[str, Any, str]]:
    for key, inside in value.items():
        at = f"{path}.{key}".lstrip(".")
        nested = isinstance(inside, dict) and inside and key not in {"resources"}
        if nested and not at.endswith("SecurityContext"):
            if at in told:
                yield at, "", told[at]
            yield from _rows(inside, at, told)
        else:
            yield at, inside, told.get(at, "")


def _said(lines: list[str]) -> Iterator[tuple[str, str]]:
    stack: list[tuple[int, str]] = []
    said: list[str] = []
    for line in lines:
        text = line.strip()
        if text.startswith(SAID):
            said = [text.removeprefix(SAID)]
        elif text.startswith("# ") and said:
            said.append(text.removeprefix("# "))
        elif found := KEY.match(line):
            indent = len(found[1])
            while stack and stack[-1][0] >= indent:
                stack.pop()
            stack.append((indent, found[2]))
            if said:
                yield ".".join(key for _, key in stack), " ".join(said)
            said = []
        else:
            said = []
