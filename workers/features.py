"""The feature worker as a process: ``python -m workers.features [WORKER_ID]``.

The same as ``streamrec worker features --id WORKER_ID``.
"""

from __future__ import annotations

import sys

from streamrec.cli import main

if __name__ == "__main__":
    named = ["--id", sys.argv[1]] if len(sys.argv) > 1 else []
    sys.argv[1:] = ["worker", "features", *named]
    main()
