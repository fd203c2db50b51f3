"""Why an answer is as it is.

Its scores are taken apart by torch, which we do not load: ``streamrec why --json`` does, a process
of its own that ends. What it says of an answer never changes, and is kept.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import OrderedDict
from typing import Any

from streamrec import settings as reader
from streamrec.errors import Unavailable
from streamrec.settings import Settings

WITHIN_S = 60.0
AT_ONCE = 2
KEPT = 500


class WhyProcess:
    """One event loop's."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._kept: OrderedDict[str, dict[str, Any]] = OrderedDict()

    async def why(self, recommendation_id: str) -> dict[str, Any]:
        """Raises Unavailable."""
        if recommendation_id not in self._kept:
            async with self._turn:
                found = await self._asked(recommendation_id)
            if "state" not in found:
                return found
            self._kept[recommendation_id] = found
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return self._kept[recommendation_id]

    async def _asked(self, recommendation_id: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "streamrec", "why", "--json", "--", recommendation_id]
        process = await asyncio.create_subprocess_exec(
            *command,
            env=reader.child_environment(self._settings),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(WITHIN_S):
                out, err = await process.communicate()
        except TimeoutError:
            raise Unavailable(f"no explanation within {WITHIN_S:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
        if not out:
            raise Unavailable(err.decode(errors="replace").strip() or "no explanation was made")
        found: dict[str, Any] = json.loads(out)
        return found
