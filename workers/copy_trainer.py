"""The trainer of copy as a process: ``python -m workers.copy_trainer [WORKER_ID]``."""

from __future__ import annotations

from workers import work

if __name__ == "__main__":
    work("copy_trainer")
