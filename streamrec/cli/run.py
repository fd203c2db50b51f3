"""``worker …`` and ``up``: the processes of the loop."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from streamrec.cli.console import say
from streamrec.core import tasks
from streamrec.core.tasks import RANKING

RUN = "Run"
IdOption = Annotated[
    str, typer.Option("--id", help="Name of this worker, unique; default: role, host, pid.")
]

BuiltInOption = Annotated[
    str, typer.Option("--task", help="What it learns or answers: one task.", metavar="NAME")
]


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    app.command(rich_help_panel=RUN)(up)
    worker = typer.Typer(
        help="Run one worker process, on any host that reaches Kafka and Redis.",
        no_args_is_help=True,
    )
    worker.command("features")(worker_features)
    worker.command("trainer")(worker_trainer)
    worker.command("serving")(worker_serving)
    worker.command("replies")(worker_replies)
    worker.command("gateway")(worker_gateway)
    app.add_typer(worker, name="worker", rich_help_panel=RUN)


def up(
    *,
    features: Annotated[int, typer.Option(min=0, help="Feature workers.")] = 1,
    serving: Annotated[int, typer.Option(min=0, help="Serving workers.")] = 1,
    replies: Annotated[int, typer.Option(min=0, help="Replies workers.")] = 1,
    trainer: Annotated[bool, typer.Option(help="Whether to learn what to rank.")] = True,
    copy: Annotated[bool, typer.Option(help="Learn which words are clicked, too.")] = False,
    learn_replies: Annotated[bool, typer.Option(help="Learn what to say, too.")] = False,
    gateway: Annotated[bool, typer.Option(help="Whether to answer over HTTP.")] = True,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in this host's browser.")
    ] = False,
) -> None:
    """Run the whole loop on this host until Ctrl-C.

    Uses the configured Kafka and Redis. What is not configured is started here: a small
    Kafka-protocol broker and a Redis, with their data under the state directory. A worker
    that dies is started again. Logs: .streamrec/logs/*.log

    \b
    streamrec up
    streamrec up --features 2 --serving 2
    streamrec up --copy --learn-replies
    streamrec up --no-gateway
    STREAMREC_KAFKA_BOOTSTRAP=kafka:9092 STREAMREC_REDIS_URL=redis://redis:6379/0 streamrec up
    """
    from streamrec.apps.local_loop import LocalLoop, ProcessCounts
    from streamrec.settings import load

    processes = ProcessCounts(
        features, int(trainer), serving, int(gateway), replies, int(copy), int(learn_replies)
    )
    settings = load()
    with stopped_by_signals():
        with LocalLoop(settings, processes, say) as loop:
            names = ", ".join(name for _, name in processes.names())
            say(f"started {names}; logs in {loop.log_dir}")
            if gateway:
                say(f"the page: {loop.address}; /docs there tells what can be called")
            if gateway and open_page:
                _open_when_ready(loop.address)
            say("in another terminal: streamrec status; here, Ctrl-C stops everything")
            try:
                while True:
                    loop.watch()
                    time.sleep(0.5)
            except KeyboardInterrupt:
                say("stopping …")
        say("stopped")


def _open_when_ready(address: str) -> None:
    """In the browser, as soon as the gateway listens; nobody waits for that."""
    import threading
    import webbrowser
    from urllib.error import URLError
    from urllib.request import urlopen

    def open_it() -> None:
        for _ in range(OPEN_TRIES):
            try:
                urlopen(f"{address}/healthz", timeout=1).close()  # noqa: S310 - our own address
            except URLError:
                time.sleep(0.5)
            else:
                webbrowser.open(address)
                return

    threading.Thread(target=open_it, name="open the page", daemon=True).start()


OPEN_TRIES = 240


def worker_features(*, id: IdOption = "") -> None:
    """Fold events and items into Redis; cut mini-batches for the trainer.

    Run as many as the topic `events` has partitions, at most.

    \b
    streamrec worker features
    """
    from streamrec.apps import clients, features

    features.run(clients.located(), id or clients.default_worker_id("features"))


def worker_trainer(*, task: BuiltInOption = RANKING, id: IdOption = "") -> None:
    """Learn from mini-batches; make, judge and release generations.

    One at a time for each task: a second one waits for its turn.

    \b
    streamrec worker trainer
    """
    from streamrec.apps import clients, trainer
    from streamrec.apps.built_in import built_in

    learned = None if task == RANKING else built_in(task)
    name = id or clients.default_worker_id(tasks.key("trainer", task))
    trainer.run(clients.located(), name, learned)


def worker_serving(*, task: BuiltInOption = RANKING, id: IdOption = "") -> None:
    """Rank the catalogue for users whose state changed, and for requests.

    \b
    streamrec worker serving
    """
    from streamrec.apps import clients, serving
    from streamrec.apps.built_in import built_in

    answered = built_in(task)
    name = id or clients.default_worker_id(tasks.key("serving", task))
    serving.run(clients.located(), name, answered)


def worker_replies(*, id: IdOption = "") -> None:
    """Say in words what is in a list, where that is asked for.

    As many as the topic `recommendations` has partitions, at most. Without a generation of the
    task replies, templates answer.

    \b
    streamrec worker replies
    """
    from streamrec.apps import clients, replies

    replies.run(clients.located(), id or clients.default_worker_id("replies"))


def worker_gateway(*, id: IdOption = "") -> None:
    """Answer over HTTP: ask for lists, send events and items, listen, operate.

    As many as are wanted, on any hosts. Listens on STREAMREC_GATEWAY_HOST (127.0.0.1) and
    STREAMREC_GATEWAY_PORT (8080); /docs there tells what can be called.

    \b
    streamrec worker gateway
    """
    from streamrec.apps import clients, gateway

    gateway.run(clients.located(), id or clients.default_worker_id("gateway"))


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal end the block the way Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


_ENDING = (signal.SIGTERM, signal.SIGHUP)
