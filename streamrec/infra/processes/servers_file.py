"""Where a running ``streamrec up`` says which servers it started: ``servers.json``.

Knows the file in the state directory and how to tell a stale one. Commands in another
terminal read it when nothing is configured.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "servers.json"


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses, and the process that keeps the servers alive."""

    kafka_bootstrap: str
    redis_url: str
    pid: int


def write(state_dir: Path, servers: Servers) -> None:
    """The file appears whole or not at all."""
    state_dir.mkdir(parents=True, exist_ok=True)
    aside = state_dir / f".{NAME}.{os.getpid()}"
    aside.write_text(json.dumps(asdict(servers)))
    aside.replace(state_dir / NAME)


def read(state_dir: Path) -> Servers | None:
    """The servers that run now; None when there is no file, or its process is gone."""
    try:
        servers = Servers(**json.loads((state_dir / NAME).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return servers if _is_running(servers.pid) else None


def remove(state_dir: Path, pid: int) -> None:
    """Remove the file if it is this process' own."""
    servers = read(state_dir)
    if servers is not None and servers.pid == pid:
        (state_dir / NAME).unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
