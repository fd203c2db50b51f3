"""The trainer of the task copy."""

from __future__ import annotations

from streamrec.apps import trainer
from streamrec.apps.copy_task import CopyTask
from streamrec.settings import Settings


def run(settings: Settings, worker_id: str) -> None:
    """As ``apps.trainer.run``."""
    trainer.run(settings, worker_id, CopyTask())
