"""Recorded tests of headlines for the demo: the Upworthy Research Archive, fetched, never shipped.

Its exploratory part alone (CC BY 4.0; Matias, Munger, Aubin Le Quéré, Ebersole: *The Upworthy
Research Archive*, Scientific Data 2021): one row of CSV for each headline and picture of a test. A
test here is the headlines that one picture was shown with, each at least ``LEAST`` times.

Knows the archive's home and its columns. What a test is for us: ``lab.replay.headline_tests``.
"""

from __future__ import annotations

import csv
import io
import json
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamrec.errors import UserError

HOME = "https://osf.io/jd64p/"
LISTING = "https://api.osf.io/v2/nodes/jd64p/files/osfstorage/608ff5fd6801ab02932a448f/"
PART = "exploratory-packages"
LEAST = 500
"""Impressions of a headline."""

Say = Callable[[str], None]
Get = Callable[[str, float], bytes]
"""What is at an address, with so many seconds of patience. Raises OSError."""


def recorded_headlines(
    cache_dir: Path, say: Say, timeout_s: float = 10.0, get: Get | None = None
) -> Path:
    """A file of recorded tests, made at first use from what the archive's home has.

    Raises UserError, which says what to do instead, when it cannot be fetched or read.
    """
    made, archive = cache_dir / "headlines.jsonl", cache_dir / "upworthy.csv"
    if made.exists():
        return made
    cache_dir.mkdir(parents=True, exist_ok=True)
    if not archive.exists():
        say(f"fetching recorded tests of headlines from {HOME} …")
        try:
            data = _fetched(get or _get, timeout_s)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise UserError(
                f"the recorded tests at {HOME} could not be fetched ({error}). Give tests of your "
                "own with --data FILE (docs/copy.md says what is in a line), or download the "
                f"archive's {PART} file yourself, put it at {archive}, and run the command again"
            ) from None
        _write(archive, data)
    try:
        tests = archived_tests(archive.read_text("utf-8"))
    except (ValueError, LookupError, csv.Error) as error:
        archive.unlink()
        raise UserError(
            f"{archive} is not the archive's {PART} file ({error}); it was removed: run the "
            "command again"
        ) from None
    _write(made, "".join(json.dumps(test) + "\n" for test in tests).encode())
    return made


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    beside = path.with_suffix(".part")
    beside.write_bytes(data)
    beside.replace(path)


def _fetched(get: Get, timeout_s: float) -> bytes:
    files = json.loads(get(LISTING, timeout_s))["data"]
    found = next((one for one in files if PART in one["attributes"]["name"]), None)
    if found is None:
        raise LookupError(f"there is no file of {PART} any more")
    return get(found["links"]["download"], timeout_s)


def _get(address: str, timeout_s: float) -> bytes:
    with urllib.request.urlopen(address, timeout=timeout_s) as answer:  # noqa: S310 - https, ours
        data: bytes = answer.read()
    return data


def archived_tests(text: str) -> list[dict[str, Any]]:
    """Of the archive's rows, in order of opening. Raises ValueError, KeyError."""
    groups: dict[tuple[str, str], list[Mapping[str, str]]] = defaultdict(list)
    for row in csv.DictReader(io.StringIO(text)):
        groups[row["clickability_test_id"], row["eyecatcher_id"]].append(row)
    found = [_test(f"{test}-{picture}", rows) for (test, picture), rows in groups.items()]
    tests = sorted(
        (one for one in found if one), key=lambda one: (one["opened_at"], one["test_id"])
    )
    if not tests:
        raise ValueError(f"no test has two headlines with {LEAST} impressions each")
    return tests


def _test(name: str, rows: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """Empty where fewer than two headlines are left."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        counted = counts[row["headline"].strip()]
        counted[0] += int(row["impressions"])
        counted[1] += int(row["clicks"])
    kept = [(title, *both) for title, both in counts.items() if title and both[0] >= LEAST]
    if len(kept) < 2:
        return {}
    opened = min(datetime.fromisoformat(row["created_at"]) for row in rows)
    return {
        "test_id": name,
        "opened_at": int(opened.replace(tzinfo=UTC).timestamp()),
        "variants": [
            {"variant_id": str(n), "title": title, "impressions": views, "clicks": clicks}
            for n, (title, views, clicks) in enumerate(kept)
        ],
    }
