"""What a process imports, it pays for at every start: nothing that it does not use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LEARNING = {"torch", "transformers", "peft", "accelerate", "sympy"}
CONNECTING = {"kafka", "redis", "faust", "numpy"}


def imported(code: str, home: Path) -> set[str]:
    """Packages that a new process has imported after this code, whatever its exit code."""
    watched = (
        "import sys, atexit\n"
        "def tell(): open('imported', 'w').write(' '.join(sys.modules))\n"
        f"atexit.register(tell)\n{code}"
    )
    environment = {"PYTHONPATH": str(Path.cwd())}
    subprocess.run(
        [sys.executable, "-c", watched], cwd=home, env=environment, capture_output=True, check=False
    )
    return {name.partition(".")[0] for name in (home / "imported").read_text().split()}


def command(line: str) -> str:
    return f"sys.argv = {['streamrec', *line.split()]}\nfrom streamrec.cli import main\nmain()"


@pytest.mark.parametrize("line", ["--help", "--version"])
def test_help_imports_no_more_than_it_prints(line: str, tmp_path: Path) -> None:
    found = imported(command(line), tmp_path)
    assert "streamrec" in found
    assert not found & (LEARNING | CONNECTING | {"pydantic"})


@pytest.mark.parametrize("line", ["status --help", "settings"])
def test_nothing_is_connected_to_without_need(line: str, tmp_path: Path) -> None:
    found = imported(command(line), tmp_path)
    assert "streamrec" in found
    assert not found & (LEARNING | CONNECTING)


@pytest.mark.parametrize("line", ["status", "adapters list", "request ann", "topics create"])
def test_commands_that_ask_load_no_model(line: str, tmp_path: Path) -> None:
    found = imported(command(line), tmp_path)
    assert "redis" in found, "they came as far as looking for the loop"
    assert not found & (LEARNING | {"faust"})


def test_the_feature_worker_loads_no_model(tmp_path: Path) -> None:
    found = imported("import workers.features, streamrec.apps.features", tmp_path)
    assert "faust" in found
    assert not found & LEARNING


def test_the_gateway_loads_neither_models_nor_faust(tmp_path: Path) -> None:
    found = imported("import workers.gateway, streamrec.apps.gateway", tmp_path)
    assert {"fastapi", "aiokafka"} <= found
    assert not found & (LEARNING | {"faust"})


@pytest.mark.parametrize("role", ["serving", "trainer"])
def test_workers_that_encode_load_no_faust(role: str, tmp_path: Path) -> None:
    found = imported(f"import workers.{role}, streamrec.apps.{role}", tmp_path)
    assert {"torch", "transformers"} <= found
    assert "faust" not in found


def test_the_client_of_the_gateway_needs_httpx_alone(tmp_path: Path) -> None:
    found = imported("import streamrec.client", tmp_path)
    assert "httpx" in found
    assert not found & (LEARNING | CONNECTING | {"pydantic", "fastapi", "orjson", "typer"})
