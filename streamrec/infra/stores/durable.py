"""Forcing files and directories to disk: what a rename needs before it may be trusted."""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Return when a file's contents, or a directory's entries, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(directory: Path) -> None:
    """Everything in a directory, and itself."""
    for path in (*directory.rglob("*"), directory):
        sync(path)
