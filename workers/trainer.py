"""The trainer as a process: ``python -m workers.trainer [ID]``."""

from __future__ import annotations

import os
import sys

from streamrec.bootstrap import clients, trainer
from streamrec.errors import StreamrecError


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else f"trainer-{os.getpid()}"
    try:
        trainer.run(clients.located(), name)
    except StreamrecError as error:
        sys.exit(f"{name}: {error}")


if __name__ == "__main__":
    main()
