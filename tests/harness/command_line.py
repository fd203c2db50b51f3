"""The ``streamrec`` command as a person runs it: a process with an environment."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest

from streamrec import settings as reader
from streamrec.cli.app import main
from tests.harness.waiting import PATIENCE_S

COMMAND = [sys.executable, "-m", "streamrec"]


class CommandLine:
    """Runs commands with only these ``STREAMREC_`` variables set."""

    def __init__(self, variables: Mapping[str, object], directory: Path) -> None:
        settings = reader.load({name: str(value) for name, value in variables.items()})
        few_threads = {"OMP_NUM_THREADS": "1"}
        self.environment = reader.child_environment(settings) | few_threads
        self.directory = directory

    def run(
        self, *arguments: str, stdin: str = "", timeout_s: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            input=stdin,
            env=self.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def run_here(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """In this process: quicker, for more of what a test beside it runs as a person does."""
        variables = {n: v for n, v in self.environment.items() if n.startswith(reader.PREFIX)}
        out, err = StringIO(), StringIO()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            with (
                chdir(self.directory),
                redirect_stdout(out),
                redirect_stderr(err),
                pytest.raises(SystemExit) as ended,
            ):
                main(arguments)
        code = int(ended.value.code or 0)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    def json(self, *arguments: str, here: bool = False) -> Any:
        """What a command prints with ``--json``; it must succeed. ``here``: see ``run_here``."""
        done = (self.run_here if here else self.run)(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command that runs until it is stopped; killed at the end if it is still there."""
        log = self.directory / f"{arguments[0]}.out"
        with (
            log.open("w") as out,
            subprocess.Popen(
                [*COMMAND, *arguments],
                env=self.environment,
                cwd=self.directory,
                stdout=out,
                stderr=out,
                text=True,
            ) as process,
        ):
            try:
                yield process
            except BaseException:
                sys.stdout.write(log.read_text())
                for path in sorted(self.directory.rglob("logs/*.log")):
                    sys.stdout.write(f"--- {path.name}\n{path.read_text()[-3_000:]}")
                raise
            finally:
                process.kill()


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    """Whether none of them runs any more (a zombie does not run)."""
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)
