"""Runs a command that dies with its parent: ``python tether.py PARENT_PID COMMAND ...``.

Used as a script between ``fork`` and ``exec``, because a ``preexec_fn`` is unsafe in a
process with threads. Linux delivers SIGKILL to the command when the thread that started
it ends, however it ends; on other systems the command simply runs.

It knows nothing of what it runs, and imports nothing of streamrec.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Tie this process to ``argv[0]``, its parent's pid, and become ``argv[1:]``."""
    parent, command = int(argv[0]), argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - the caller chose the command


if __name__ == "__main__":
    main(sys.argv[1:])
