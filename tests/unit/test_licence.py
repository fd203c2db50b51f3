"""What the project promises on paper agrees with what it is."""

from __future__ import annotations

import re
import tomllib
from hashlib import sha256
from importlib import metadata
from pathlib import Path

import pytest

import streamrec
from streamrec.models.packaged import PACKAGES

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOTICE = (ROOT / "NOTICE").read_text()
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_the_licence_is_the_whole_apache_licence() -> None:
    assert sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2
    assert PROJECT["license"] == "Apache-2.0"
    assert PROJECT["license-files"] == ["LICENSE", "NOTICE"]


@pytest.mark.parametrize("package", PACKAGES.values(), ids=lambda package: package.module)
def test_the_notice_names_every_package_of_weights_with_its_licence(package) -> None:
    name, version = package.install.split()[-1].split("==")
    (paragraph,) = (part for part in NOTICE.split("\n\n") if f"{name} {version}" in part)
    assert metadata.version(name) == version
    said = metadata.metadata(name)["License"]
    assert re.search(said.replace("-2.0", " License 2.0"), paragraph), f"{name} says {said}"


def test_one_version_everywhere() -> None:
    assert PROJECT["version"] == streamrec.__version__
    compose = (ROOT / "deploy" / "compose.yaml").read_text()
    assert set(re.findall(r"image: streamrec:(\S+)", compose)) == {streamrec.__version__}


def test_supported_pythons_are_said_alike() -> None:
    said = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if "Python ::" in each]
    assert PROJECT["requires-python"] == f">={said[0]}"
    words = f"Python {', '.join(said[:-1])} and {said[-1]}"
    for page in ("SECURITY.md", "docs/versions.md"):
        assert words in (ROOT / page).read_text(), page
