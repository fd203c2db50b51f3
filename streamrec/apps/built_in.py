"""The tasks that this version carries, by name. Another one is one more line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from streamrec.apps.copy_task import CopyTask
from streamrec.apps.ranking import RankingTask
from streamrec.apps.replies_task import RepliesTask
from streamrec.apps.worker_context import WorkerContext
from streamrec.core.tasks import COPY, RANKING, REPLIES
from streamrec.errors import UserError
from streamrec.ports import Task
from streamrec.settings import Settings

TASKS: Mapping[str, Callable[[], Task[WorkerContext, Settings]]] = {
    RANKING: RankingTask,
    COPY: CopyTask,
    REPLIES: RepliesTask,
}


def built_in(name: str) -> Task[WorkerContext, Settings]:
    """Raises UserError when this version cannot learn it."""
    if name not in TASKS:
        known = ", ".join(TASKS)
        raise UserError(f"{name!r} is no task that this version can learn; it can: {known}")
    return TASKS[name]()
