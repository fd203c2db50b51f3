"""The locks hold what pyproject.toml asks for, with hashes, and name no index."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
RUNTIME = PYPROJECT["project"]["dependencies"]
EXTRAS = PYPROJECT["project"]["optional-dependencies"]["tensorboard"]
DEV = PYPROJECT["dependency-groups"]["dev"]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    text = (REPOSITORY / lock).read_text()
    return {canonicalize_name(name): version for name, version in PIN.findall(text)}


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", RUNTIME + EXTRAS),
        ("requirements-dev.lock", RUNTIME + EXTRAS + DEV),
    ],
)
def test_the_lock_satisfies_every_requirement(lock: str, wanted: list[str]) -> None:
    locked = pins(lock)
    requirements = [Requirement(text) for text in wanted]
    stale = [
        str(each)
        for each in requirements
        if not each.specifier.contains(locked.get(canonicalize_name(each.name), "0.dev0"))
    ]
    assert not stale, f"run `make lock`: {lock} does not satisfy {stale}"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_holds_what_extras_bring(lock: str) -> None:
    locked = pins(lock)
    brought = [
        Requirement(text)
        for each in map(Requirement, RUNTIME)
        for extra in each.extras
        for text in requires(each.name) or ()
        if (needed := Requirement(text)).marker and needed.marker.evaluate({"extra": extra})
    ]
    assert brought
    missing = [each.name for each in brought if canonicalize_name(each.name) not in locked]
    assert not missing, f"run `make lock`: {lock} lacks {missing}"


def test_tools_run_with_the_versions_that_are_shipped() -> None:
    runtime, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert runtime.items() <= dev.items()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_pin_has_hashes_and_no_index_is_named(lock: str) -> None:
    text = (REPOSITORY / lock).read_text()
    assert "://" not in text
    assert "index" not in re.sub(PIN, "", text)
    entries = re.split(r"\n(?=[A-Za-z0-9])", text.split("\n", 2)[2])
    assert len(entries) > 50
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
