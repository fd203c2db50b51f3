"""The replies worker: a serving worker of the task replies."""

from __future__ import annotations

from streamrec.apps import serving
from streamrec.apps.replies_task import RepliesTask
from streamrec.settings import Settings


def run(settings: Settings, worker_id: str) -> None:
    """Work until SIGTERM or SIGINT, then finish what is held and return.

    Raises UserError: an impossible log level.
    """
    serving.run(settings, worker_id, RepliesTask())
