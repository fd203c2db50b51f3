"""One module per worker process; each is ``streamrec worker <role> --id WORKER_ID``."""

from __future__ import annotations

import sys

from streamrec.cli import main


def work(role: str) -> None:
    """Work as ``role`` until told to stop, under the name on the command line, if any."""
    named = ["--id", sys.argv[1]] if len(sys.argv) > 1 else []
    sys.argv[1:] = ["worker", role, *named]
    main()
