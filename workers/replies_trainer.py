"""The trainer of replies as a process: ``python -m workers.replies_trainer [WORKER_ID]``."""

from __future__ import annotations

from workers import work

if __name__ == "__main__":
    work("replies_trainer")
