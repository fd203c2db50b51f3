"""What ``doctor`` says of replies: how many a template had to make, and why; which queries were not
read; which replies cannot be learned from; whether the server that writes is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from streamrec.cli.doctor import CheckResult, Finding
from streamrec.core.tasks import REPLIES
from streamrec.errors import Unavailable
from streamrec.ports import FALLBACK, UNREAD, WorkerStatus
from streamrec.settings import Settings

MANY = 0.1
"""A share of templates that somebody should know of."""


def template_share(workers: Sequence[WorkerStatus]) -> Iterator[Finding]:
    """Of the workers that are alive, since they started."""
    replying = [worker for worker in workers if worker.task == REPLIES]
    made = sum(worker.gauges.get("published", 0.0) for worker in replying)
    if not made:
        return
    fallen = _counted(replying, FALLBACK)
    share, why = fallen.total() / made, _in_words(fallen)
    said = f"{made:,.0f} made, {share:.0%} by templates" + (f" ({why})" if why else "")
    if share > MANY:
        remedy = "a model that is away, late or refused: docs/replies.md"
        yield Finding("replies", CheckResult.NOTE, said, remedy)
    else:
        yield Finding("replies", CheckResult.OK, said)


def left_out(workers: Sequence[WorkerStatus]) -> Iterator[Finding]:
    """What asked for words and was not read, and replies that nothing can be learned from."""
    if unread := _counted(workers, UNREAD):
        said = f"{unread.total():,} queries not read, lists made without them ({_in_words(unread)})"
        remedy = "early: asked before the catalogue's words were there; else a serving worker's log"
        yield Finding("replies", CheckResult.NOTE, said, remedy)
    if unusable := sum(worker.gauges.get("unusable_replies", 0.0) for worker in workers):
        said = f"{unusable:,.0f} replies whose log says nothing to learn from"
        remedy = "they were written by another version, or by somebody else"
        yield Finding("replies", CheckResult.NOTE, said, remedy)


def reply_server(settings: Settings) -> Iterator[Finding]:
    """The server that writes, where the settings name one."""
    from streamrec.apps import replies_task

    server = replies_task.reply_server(settings.replies)
    if server is None:
        return
    try:
        has = ", ".join(sorted(server.listed()))
        yield Finding("replies", CheckResult.OK, f"the server that writes has {has or 'no model'}")
    except Unavailable as error:
        remedy = "until it is back templates answer, with the fallback `away`"
        yield Finding("replies", CheckResult.PROBLEM, f"the server that writes: {error}", remedy)
    finally:
        server.close()


def _counted(workers: Sequence[WorkerStatus], prefix: str) -> Counter[str]:
    """By what comes after ``prefix``."""
    found: Counter[str] = Counter()
    for worker in workers:
        of = {
            k.removeprefix(prefix): int(n) for k, n in worker.gauges.items() if k.startswith(prefix)
        }
        found.update(of)
    return found


def _in_words(found: Counter[str]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in found.most_common())
