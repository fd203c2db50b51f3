"""The replies worker as a process: ``python -m workers.replies [WORKER_ID]``."""

from __future__ import annotations

from workers import work

if __name__ == "__main__":
    work("replies")
