"""The serving worker as a process: ``python -m workers.serving [ID]``."""

from __future__ import annotations

import os
import sys

from streamrec.bootstrap import clients, serving
from streamrec.errors import StreamrecError


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else f"serving-{os.getpid()}"
    try:
        serving.run(clients.located(), name)
    except StreamrecError as error:
        sys.exit(f"{name}: {error}")


if __name__ == "__main__":
    main()
