"""Recorded tests of wordings: files of JSON lines, one test a line, in order of opening.

    {"test_id", "opened_at", "variants": [{"variant_id", "title", "impressions", "clicks"}, …]}

Times are Unix seconds. ``closed_at`` may say when a test ended, ``text`` what followed a title.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamrec.errors import BadFile
from streamrec.tasks.copy.examples import CopyExample, variant_text

OPEN_S = 86_400.0
"""A test that does not say when it closed was open for so long."""


@dataclass(frozen=True, slots=True)
class HeadlineTest:
    """``example``: its arms, and their counts when it had closed."""

    test_id: str
    opened_at: float
    closed_at: float
    example: CopyExample


def read_tests(path: Path) -> list[HeadlineTest]:
    """Raises BadFile, naming the line, also when there is no such file or nothing in it."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BadFile(f"{path} is not UTF-8: {error.reason}; unpack it first") from None
    tests: list[HeadlineTest] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            test = _test(json.loads(line), len(tests))
        except (ValueError, TypeError, KeyError) as error:
            raise BadFile(f"{path} line {number}: {_said(error)}") from None
        if tests and test.opened_at < tests[-1].opened_at:
            raise BadFile(f"{path} line {number}: opened before the one above; sort by opened_at")
        tests.append(test)
    if not tests:
        raise BadFile(f"{path} holds no test")
    return tests


def _said(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)


def _test(fields: Any, place: int) -> HeadlineTest:
    if not isinstance(fields, Mapping):
        raise TypeError("not a JSON object")
    opened = _seconds(fields["opened_at"], "opened_at")
    closed = fields.get("closed_at")
    closed_at = opened + OPEN_S if closed is None else _seconds(closed, "closed_at")
    if closed_at < opened:
        raise ValueError("it closed before it opened")
    variants = fields["variants"]
    if not isinstance(variants, list) or len(variants) < 2:
        raise ValueError("variants is not a list of two or more")
    views = [_count(variant, "impressions", 1) for variant in variants]
    clicks = [_count(variant, "clicks", 0) for variant in variants]
    if any(c > v for c, v in zip(clicks, views, strict=True)):
        raise ValueError("a variant has more clicks than impressions")
    test_id = str(fields["test_id"])
    example = CopyExample(
        0,
        place,
        0,
        "",
        int(closed_at * 1000),
        test_id,
        tuple(map(_text, variants)),
        np.array(views, np.float32),
        np.array(clicks, np.float32),
    )
    return HeadlineTest(test_id, opened, closed_at, example)


def _text(variant: Mapping[str, Any]) -> str:
    title, text = variant["title"], variant.get("text") or ""
    if not isinstance(title, str) or not isinstance(text, str) or not title.strip():
        raise ValueError("a variant has no title")
    return variant_text(title, text)


def _seconds(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}, not a number of seconds")
    return float(value)


def _count(variant: Any, name: str, least: int) -> int:
    if not isinstance(variant, Mapping):
        raise TypeError("a variant is not a JSON object")
    value = variant[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is {value!r}, not a whole number from {least} on")
    return value
