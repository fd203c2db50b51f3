"""``make test`` and ``make test-all``: every test, in two runs side by side.

Most of what tests with servers do is wait; the hermetic ones compute. So either run costs
little time beside the other. Each has worker processes (pytest-xdist), and each worker servers
of its own: no test meets another's.

1. Start both. What the hermetic run says is shown at once, the other's is kept.
2. When the first has ended, show what the second has said, and go on showing it.
3. Exit code 1 unless every test of both passed; a run without tests has failed, too.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

HERMETIC = ("tests/unit", "tests/property", "-n", "logical", "--dist", "worksteal")
WITH_SERVERS = ("tests/contract", "tests/integration", "-n", "2", "--dist", "loadgroup")
LOOK_S = 0.5
INTERRUPTED = 130


def pytest(*arguments: str, out: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT if out else None)


def main(options: list[str]) -> int:
    """``options``: of pytest, for both runs. 130 after Ctrl-C."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "said")
        with (
            file.open("wb") as out,
            file.open("rb") as said,
            pytest(*WITH_SERVERS, *options, out=out) as servers,
            pytest(*HERMETIC, *options) as hermetic,
        ):
            try:
                codes = hermetic.wait(), _show(servers, said)
            except KeyboardInterrupt:  # the terminal has sent it to both of them as well
                hermetic.wait()
                _show(servers, said)
                return INTERRUPTED
    return int(any(codes))


def _show(process: subprocess.Popen[bytes], said: IO[bytes]) -> int:
    """What a process says, until it has ended; its exit code."""
    ended = False
    while not ended:
        ended = process.poll() is not None  # asked before the last of it is read
        shutil.copyfileobj(said, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        if not ended:
            time.sleep(LOOK_S)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
