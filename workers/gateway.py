"""The gateway as a process: ``python -m workers.gateway [WORKER_ID]``."""

from __future__ import annotations

from workers import work

if __name__ == "__main__":
    work("gateway")
