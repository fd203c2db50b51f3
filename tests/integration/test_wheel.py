"""The wheel as somebody has it who has nothing else: another Python, an empty environment."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import streamrec
from streamrec import settings
from tests.harness.servers import skip_or_fail

pytestmark = [pytest.mark.embedded, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SOURCES = ("streamrec", "workers", "schemas")
UV = Path(sys.executable).with_name("uv")
LEFT_OUT = {"__pycache__", ".mypy_cache", ".DS_Store"}


def run(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


def environment() -> dict[str, str]:
    """Without our own code on the path, and without our settings; uv is there, as for its users."""
    ours = settings.child_environment(settings.Settings())
    kept = {name: text for name, text in ours.items() if not name.startswith(settings.PREFIX)}
    kept.pop("PYTHONPATH", None)
    return kept | {"PATH": f"{UV.parent}:{kept['PATH']}", "OMP_NUM_THREADS": "1"}


def another_python() -> str:
    """One that is not this one, where there is one."""
    for version in ("3.13", "3.12"):
        found = subprocess.run(
            [
                shutil.which(f"python{version}") or "false",
                "-c",
                "import sys; print(sys.executable)",
            ],
            env=environment() | {"PYENV_VERSION": version},
            capture_output=True,
            text=True,
            check=False,
        )
        if found.returncode == 0:
            return found.stdout.strip()
    return sys.executable


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the source distribution, built from a copy."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, copy)
    done = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", copy / "dist", copy)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / "dist"


def test_both_distributions_have_every_file_and_the_licence(built: Path) -> None:
    ours = {
        path.relative_to(ROOT).as_posix()
        for name in SOURCES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and not LEFT_OUT & set(path.parts) and path.suffix != ".pyc"
    }
    assert {Path(name).suffix for name in ours} >= {".py", ".lua", ".avsc", ".xml", ".typed"}
    (wheel,), (sources,) = built.glob("*.whl"), built.glob("*.tar.gz")
    inside = set(zipfile.ZipFile(wheel).namelist())
    info = f"streamrec-{streamrec.__version__}.dist-info"
    licences = {f"{info}/licenses/{name}" for name in ("LICENSE", "NOTICE")}
    assert (ours | licences) - inside == set(), "package-data in pyproject.toml"
    with tarfile.open(sources) as archive:
        there = {name.partition("/")[2] for name in archive.getnames()}
    assert (ours | {"LICENSE", "NOTICE"}) - there == set()


def test_it_runs_the_demo_where_nothing_else_is_installed(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    python = tmp_path / "empty" / "bin" / "python"
    assert (
        run(UV, "venv", "--quiet", "--python", another_python(), python.parents[1]).returncode == 0
    )
    locked = ("--constraint", ROOT / "requirements.lock")  # what is released tomorrow fails nothing
    done = run(UV, "pip", "install", "--quiet", "--python", python, *locked, wheel, cwd=tmp_path)
    if "error sending request" in done.stderr or "dns error" in done.stderr:
        skip_or_fail("CI", "no package index was reached: an installation of the wheel")
    assert done.returncode == 0, done.stderr
    command = python.with_name("streamrec")
    assert run(command, "--version", cwd=tmp_path).stdout == f"streamrec {streamrec.__version__}\n"
    assert "A recommender that learns" in run(command, "--help", cwd=tmp_path).stdout
    played = ("--seconds", "10", "--rate", "50", "--summary", "summary.json")
    done = run(command, "demo", *played, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    events = summary["events"]
    assert events["applied"] + events["dead_letter"] == events["produced"] > 300
    assert summary["recommendations"]["published"] > 10
