"""docs/tutorial.md, run as a reader's shell would: what it shows is what comes out, in form."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from streamrec.infra.processes.server_process import free_port
from tests.fakes.language_models import save_tiny_model
from tests.harness.command_line import CommandLine

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BETWEEN = "=-=-= the next block"


def blocks() -> list[tuple[str, str]]:
    """Commands, and what they show."""
    found = BLOCK.findall(PAGE.read_text())
    commands = [text for language, text in found if language == "sh"]
    shown = [text for language, text in found if language == "text"]
    assert [language for language, _ in found] == ["sh", "text"] * len(commands)
    return list(zip(commands, shown, strict=True))


def form(line: str) -> str:
    """Without what is another each time: numbers, ids, which items of several, blanks."""
    line = re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b|\b[0-9a-f]{8}\b", "#", line)
    line = re.sub(r"P\d+.*%.*|(P\d+ ?){5,}", "items", line)  # of a list: titles, and why
    line = re.sub(r"^ ranking +g.*", "a generation", line)
    line = re.sub(r"^( +\"(title|reason)\":).*", r"\1", line)
    line = re.sub(r"\d[\d.,]*", "0", line)
    line = re.sub(r"\b(ms|s|min|B|MB)\b", "unit", line)
    return re.sub(r"[\s0]+", " ", line).strip()


def in_form(text: str) -> list[str]:
    return [formed for line in text.splitlines() if (formed := form(line))]


@pytest.fixture
def reader(tmp_path: Path) -> dict[str, str]:
    """Whose shell finds this tree's command, a small model, and a port that is free."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, what in (("streamrec", "-m streamrec "), ("python", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec {sys.executable} {what}"$@"\n')
        (commands / name).chmod(0o755)
    variables = {
        "STREAMREC_ENCODER_MODEL": save_tiny_model("bert", tmp_path / "model"),
        "STREAMREC_ENCODER_DTYPE": "float32",
        "STREAMREC_TRAINER_RELEASE_S": 3,
        "STREAMREC_GATEWAY_PORT": free_port(),
    }
    found = CommandLine(variables, tmp_path).environment
    return {**found, "PATH": f"{commands}:{found['PATH']}", "PYTHONPATH": str(ROOT)}


def printed(script: str, home: Path, environment: dict[str, str]) -> str:
    """What a shell shows that is given all of it; nothing that it started is left."""
    with subprocess.Popen(
        ["bash", "-c", script], cwd=home, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as shell:  # fmt: skip
        try:
            return shell.communicate(timeout=240)[0]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_tutorial_shows_what_comes_out(reader: dict[str, str], tmp_path: Path) -> None:
    page = blocks()
    script = f"\necho '{BETWEEN}'\n".join(commands for commands, _ in page)
    script = script.replace(":8080", f":{reader['STREAMREC_GATEWAY_PORT']}")
    (home := tmp_path / "shop").mkdir()
    found = printed(script, home, reader).split(f"{BETWEEN}\n")
    assert len(found) == len(page)
    for (commands, shown), came in zip(page, found, strict=True):
        missing = set(in_form(shown)) - set(in_form(came))
        assert not missing, f"after\n{commands}came\n{came}"
