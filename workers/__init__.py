"""One module per worker process; each is ``streamrec worker <role> --id WORKER_ID``."""

from __future__ import annotations

import sys
from importlib import import_module

from streamrec.apps import clients
from streamrec.cli.exit_codes import exit_codes


def work(role: str) -> None:
    """Work as ``role`` until told to stop, under the name on the command line, if any."""
    with exit_codes():
        app = import_module(f"streamrec.apps.{role}")
        app.run(clients.located(), (sys.argv[1:] or [clients.default_worker_id(role)])[0])
