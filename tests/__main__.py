"""``make test`` and ``make test-all``: every test, hermetic ones first.

Each run has worker processes (pytest-xdist), and each worker servers of its own: no test meets
another's. Tests with servers kill, wait and measure time, so nothing computes beside them.

1. Hermetic tests.
2. Tests with servers.
3. Those of 2 that failed, once more, one at a time, aloud: a crowded machine fails what an idle one
   does not. Whatever fails then has failed.
4. Those marked ``alone``: they measure what others beside them would hide.
5. Exit code 1 unless every test passed; a run without tests has failed, too.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

HERMETIC = ("tests/unit", "tests/property", "-n", "logical", "--dist", "worksteal")
SERVERS = ("tests/contract", "tests/integration")
BESIDE_OTHERS = (*SERVERS, "-m", "not alone", "-n", "2", "--dist", "loadgroup")
ALONE = (*SERVERS, "-m", "alone")
INTERRUPTED = 130
SOME_FAILED = 1


def pytest(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode


def main(options: list[str]) -> int:
    """``options``: of pytest, for all runs. 130 after Ctrl-C."""
    try:
        hermetic = pytest(*HERMETIC, *options)
        return int(any((hermetic, _beside_others(options), pytest(*ALONE, *options))))
    except KeyboardInterrupt:  # the terminal has sent it to pytest as well
        return INTERRUPTED


def _beside_others(options: list[str]) -> int:
    with tempfile.TemporaryDirectory() as cache:
        remembered = ["-o", f"cache_dir={cache}"]
        code = pytest(*BESIDE_OTHERS, *remembered, *options)
        if code != SOME_FAILED:
            return code
        print("\nonce more, alone: what failed beside other tests", flush=True)  # noqa: T201
        return pytest(*SERVERS, "--last-failed", *remembered, *options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
