"""The trainer of the task replies."""

from __future__ import annotations

from streamrec.apps import trainer
from streamrec.apps.replies_task import RepliesTask
from streamrec.settings import Settings


def run(settings: Settings, worker_id: str) -> None:
    """As ``apps.trainer.run``."""
    trainer.run(settings, worker_id, RepliesTask())
