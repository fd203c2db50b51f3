"""What a task is called, and what is called after it: its slot, directories, keys.

The names of the first task, ranking, are those that version 0.1 wrote: what it left behind is
read as it is.
"""

from __future__ import annotations

import re
from pathlib import Path

from streamrec.errors import UserError

RANKING = "ranking"
COPY = "copy"
REPLIES = "replies"

EVERY = "all"
"""Not a task: every one of them, on the command line."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]")
_TAKEN = frozenset(
    f"{EVERY} default registry registry-cache checkpoints snapshots candidates faust logs embedded "
    "apache-kafka datasets demo drill poisoned".split()
)
"""A slot and directories that are there already, and what would be read as something else."""


def valid(name: str) -> bool:
    """Lower-case letters, digits and ``-``, and nothing that means something else."""
    return _NAME.fullmatch(name) is not None and name not in _TAKEN


def checked(name: str) -> str:
    """The same. Raises UserError when it is no name of a task."""
    if not valid(name):
        raise UserError(
            f"{name!r} is no name of a task: 2 to 32 lower-case letters, digits and '-', beginning "
            "with a letter"
        )
    return name


def slot(task: str) -> bytes:
    """The key of its records in the control log."""
    return b"default" if task == RANKING else task.encode()


def of_slot(slot: bytes) -> str:
    """The task whose records have this key."""
    return RANKING if slot == b"default" else slot.decode(errors="replace")


def directory(base: Path, task: str) -> Path:
    """Where it keeps its files below ``base``."""
    return base if task == RANKING else base / task


def key(name: str, task: str) -> str:
    """``name`` as this task's own: of a lease, a consumer group, a key, an outbox."""
    return name if task == RANKING else f"{name}-{task}"


def of_batch_key(key: bytes | None) -> str:
    """Whose mini-batches have this key: ``<partition>``, of another task ``<task>/<partition>``."""
    task, slash, _ = (key or b"").partition(b"/")
    return task.decode(errors="replace") if slash else RANKING
