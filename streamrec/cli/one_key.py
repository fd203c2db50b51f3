"""A line of a person at a terminal, or one key that says it all. Knows terminals of POSIX."""

from __future__ import annotations

import os
import readline
import sys
import termios
import tty
from collections.abc import Set


def read_line(prompt: str, keys: Set[str]) -> str | None:
    """What was typed, without blanks about it; a key of ``keys`` at once, when it comes first.

    None at the end of the input. Raises KeyboardInterrupt.
    """
    sys.stdout.write(prompt)
    sys.stdout.flush()
    first = _one_key()
    if first in keys:
        sys.stdout.write(f"{first}\n")
        return first
    if first in ("\x04", ""):
        sys.stdout.write("\n")
        return None
    if first in "\r\n":
        sys.stdout.write("\n")
        return ""
    sys.stdout.write("\r")
    readline.set_startup_hook(lambda: readline.insert_text(first if first.isprintable() else ""))
    try:
        return input(prompt).strip()
    except EOFError:
        return None
    finally:
        readline.set_startup_hook()


def _one_key() -> str:
    """The next character, as it is typed."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        found = os.read(terminal, 1)
        while found and (more := _lacking(found)):
            found += os.read(terminal, more)
        return found.decode(errors="replace")
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _lacking(found: bytes) -> int:
    """Bytes that a character of UTF-8 still needs."""
    size = 1 + sum(found[0] >= first for first in (0xC0, 0xE0, 0xF0))
    return size - len(found)
