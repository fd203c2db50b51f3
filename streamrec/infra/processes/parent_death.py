"""Runs a command that dies with its parent: ``python parent_death.py PARENT_PID COMMAND ...``.

Used as a script between ``fork`` and ``exec``, because a ``preexec_fn`` is unsafe in a
process with threads; a fork that becomes no other program calls ``die_with_parent``. Linux
delivers SIGKILL when the thread that started the process ends, however it ends; on other
systems the command simply runs.

It knows nothing of what it runs, and imports nothing of streamrec.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int | None = None) -> None:
    """Have the kernel kill this process when the thread that started it ends.

    ``parent``: its pid, when known; exits when it has died already.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent is not None and os.getppid() != parent:  # it died before the line above
        sys.exit(1)


def main(argv: list[str]) -> None:
    """Tie this process to ``argv[0]``, its parent's pid, and become ``argv[1:]``."""
    die_with_parent(int(argv[0]))
    command = argv[1:]
    os.execvp(command[0], command)  # noqa: S606 - the caller chose the command


if __name__ == "__main__":
    main(sys.argv[1:])
