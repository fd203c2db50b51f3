"""README.zh-CN.md says what README.md says: the same sections, commands, links and numbers.

Whoever changes one changes the other. The comparison goes section by section, by their order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EACH_OTHER = {"README.md", "README.zh-CN.md"}


def sections(name: str) -> list[str]:
    """What stands before, and each with its heading; a # in a block of code is none."""
    text = (ROOT / name).read_text("utf-8")
    blocks = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    marked = [
        part if part.startswith("```") else re.sub(r"^(#+ )", "\0\\1", part, flags=re.MULTILINE)
        for part in blocks
    ]
    return "".join(marked).split("\0")


def level(section: str) -> list[str]:
    return re.findall(r"\A#+", section)


def blocks(section: str) -> list[str]:
    return re.findall(r"^```.*?^```$", section, flags=re.MULTILINE | re.DOTALL)


def commands(section: str) -> list[str]:
    """What would be typed, or is printed; not comments, nor the labels of a diagram."""
    lines = [
        line for block in blocks(section) if "mermaid" not in block for line in block.split("\n")
    ]
    return [
        re.split(r" {2,}|\s#", line.strip())[0]
        for line in lines
        if re.match(r"[^#（(]", line.strip())
    ]


def links(section: str) -> list[str]:
    return sorted(set(re.findall(r"\]\(([^)]+)\)", section)) - EACH_OTHER)


def names(section: str) -> list[str]:
    """Code between words: settings, commands, files."""
    prose = re.sub(r"^```.*?^```$", "", section, flags=re.MULTILINE | re.DOTALL)
    return sorted(" ".join(name.split()) for name in re.findall(r"`([^`]+)`", prose))


def numbers(section: str) -> list[str]:
    text = re.sub(r"\]\([^)]+\)", "", section)
    return sorted(re.findall(r"\d+(?:[.,]\d+)*", text))


@pytest.mark.parametrize("part", [level, commands, links, names, numbers])
def test_both_say_the_same(part: Callable[[str], list[str]]) -> None:
    ours, theirs = sections("README.md"), sections("README.zh-CN.md")
    for english, chinese in zip(ours, theirs, strict=True):
        here, there = Counter(part(english)), Counter(part(chinese))
        told = (
            (
                f"{english.splitlines()[0]!r}: only in English {list(here - there)}, "
                f"only in Chinese {list(there - here)}"
            )
            if english and here != there
            else ""
        )
        assert not told, told
