"""The serving worker as a process: ``python -m workers.serving [WORKER_ID]``."""

from __future__ import annotations

from workers import work

if __name__ == "__main__":
    work("serving")
