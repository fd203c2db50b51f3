"""The whole loop on this host: servers where none is configured, topics, and workers.

``streamrec up`` is this and nothing else; the demo plays a stream through it.

Start:

1. The broker and the Redis that are not configured, with data under the state directory.
2. ``servers.json``, so that commands in another terminal find them.
3. Topics.
4. Workers, each its own process.

Stop, in the opposite order: workers finish what they hold while their servers still answer.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from kafka.errors import KafkaError

from streamrec import settings as reader
from streamrec.core import tasks
from streamrec.errors import Unavailable, UserError
from streamrec.infra.http.server import bound
from streamrec.infra.metrics.server import check_free
from streamrec.infra.processes import servers_file
from streamrec.infra.processes.embedded import EmbeddedKafka, EmbeddedRedis
from streamrec.infra.processes.server_process import ServerProcess
from streamrec.infra.processes.servers_file import Servers
from streamrec.infra.processes.supervisor import BACKOFF_S, Program, Supervisor, start_cold
from streamrec.infra.processes.warm_start import WarmStart, possible
from streamrec.infra.stores.lease import break_lease
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.wire.kafka import full_name
from streamrec.infra.wire.kafka_probe import evict_members
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.settings import MetricsSettings, Settings

FEATURES, TRAINER, SERVING, GATEWAY = "features", "trainer", "serving", "gateway"
REPLIES = "replies"
"""A serving worker of the task of that name."""
COPY_TRAINER, REPLIES_TRAINER = "copy_trainer", "replies_trainer"

TRAINED = {TRAINER: tasks.RANKING, COPY_TRAINER: tasks.COPY, REPLIES_TRAINER: tasks.REPLIES}
"""What each trainer learns."""


@dataclass(frozen=True, slots=True)
class ProcessCounts:
    """How many workers of each role."""

    features: int = 1
    trainer: int = 1
    serving: int = 1
    gateway: int = 0  # one at most: they would want the same port
    replies: int = 0
    copy_trainer: int = 0
    replies_trainer: int = 0

    def names(self) -> list[tuple[str, str]]:
        """(role, worker id) of each."""
        counts = (
            (FEATURES, self.features),
            (TRAINER, self.trainer),
            (COPY_TRAINER, self.copy_trainer),
            (REPLIES_TRAINER, self.replies_trainer),
            (SERVING, self.serving),
            (REPLIES, self.replies),
            (GATEWAY, self.gateway),
        )
        return [
            (role, f"{role.replace('_', '-')}-{n}")
            for role, count in counts
            for n in range(1, count + 1)
        ]


def refuse_two_in(state_dir: Path) -> None:
    """Raises UserError when a loop runs there already."""
    running = servers_file.read(state_dir)
    if running is not None:
        raise UserError(
            f"a loop runs in {state_dir} already (process {running.pid}); stop it, or set "
            "STREAMREC_STATE_DIR to another directory"
        )


def empty(state_dir: Path) -> None:
    """Remove what an earlier loop left there, for one that begins anew.

    Raises UserError, having removed nothing, when it still runs.
    """
    refuse_two_in(state_dir)
    shutil.rmtree(state_dir, ignore_errors=True)


class LocalLoop:
    """A context manager; call ``watch`` about once a second while it runs.

    Start it from a thread that lives as long as the loop: servers and workers are killed
    when that thread ends without stopping them.
    """

    def __init__(
        self,
        settings: Settings,
        processes: ProcessCounts,
        say: Callable[[str], None],
        backoff_s: Sequence[float] = BACKOFF_S,
    ) -> None:
        """Begins to import what the workers need; make it before anything else that takes time.

        ``backoff_s``: before a worker that died is started again, by deaths in a row.
        """
        self.settings = settings
        self._processes = processes
        self._say = say
        self._stack = ExitStack()
        self._servers: list[ServerProcess] = []
        roles = sorted({role for role, _ in processes.names()})
        modules = [
            "workers",
            "streamrec.settings.reading",
            *(f"streamrec.apps.{role}" for role in roles),
        ]
        self._start = WarmStart(modules).start if possible() else start_cold
        self._supervisor = Supervisor(say, self._forget, backoff_s, self._start)

    def __enter__(self) -> Self:
        """Raises UserError when a loop runs here already or the gateway's port is taken,
        Unavailable when a server fails."""
        refuse_two_in(self.settings.state_dir)
        self._tell_metrics()
        if self._processes.gateway:
            self._check_port()
        with ExitStack() as stack:
            self._start_servers(stack)
            self._say(f"Kafka at {self.settings.kafka.bootstrap}, Redis at {_shown(self.settings)}")
            create_topics(self.settings.kafka)
            stack.callback(self.stop_workers)
            self.start_workers()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start_workers(self) -> None:
        """All of them; they run already unless they were stopped."""
        for role, name in self._processes.names():
            self._supervisor.start(self._program(role, name))

    def metrics(self) -> dict[str, MetricsSettings]:
        """Where each worker serves its metrics, if a port is set: one after the other, from it."""
        given = self.settings.metrics
        names = [name for _, name in self._processes.names()]
        ports = enumerate(names, given.port) if given.port else ()
        return {name: replace(given, port=port) for port, name in ports}

    def _tell_metrics(self) -> None:
        """Raises UserError where a port is taken: before anything is started."""
        served = self.metrics()
        for at in served.values():
            check_free(at.host, at.port)
        if served:
            told = ", ".join(f"{name} :{at.port}" for name, at in served.items())
            host = next(iter(served.values())).host
            self._say(f"metrics at http://{host}:PORT/metrics: {told}")

    def stop_workers(self) -> None:
        """All of them, while the servers go on; returns when they are gone."""
        self._supervisor.stop()

    def watch(self) -> None:
        """Restart workers that died. Raises Unavailable when a server of ours died."""
        self._supervisor.watch()
        for server in self._servers:
            if not server.running:
                self._say(f"{server.name} died; starting it again on the same data")
                server.start()

    def pids(self) -> dict[str, int]:
        """Process ids by name, servers included."""
        return {s.name: s.pid for s in self._servers if s.running} | self._supervisor.pids()

    @property
    def address(self) -> str:
        """Where the gateway is."""
        gateway = self.settings.gateway
        host = f"[{gateway.host}]" if ":" in gateway.host else gateway.host
        return f"http://{host}:{gateway.port}"

    @property
    def deaths(self) -> int:
        """Workers that died and were started again."""
        return self._supervisor.deaths

    @property
    def log_dir(self) -> Path:
        return self.settings.state_dir / "logs"

    def _check_port(self) -> None:
        gateway = self.settings.gateway
        try:
            with bound(gateway.host, gateway.port) as listener:
                port = listener.getsockname()[1]
        except UserError as error:
            raise UserError(f"{error}; --no-gateway starts none") from None
        self.settings = replace(self.settings, gateway=replace(gateway, port=port))

    def _start_servers(self, stack: ExitStack) -> None:
        given, data = self.settings, self.settings.state_dir / "embedded"
        kafka, redis = given.kafka, given.redis
        if not kafka.bootstrap:
            broker = stack.enter_context(EmbeddedKafka(data))
            self._servers.append(broker)
            kafka = replace(kafka, bootstrap=broker.bootstrap)
        if not redis.url:
            store = stack.enter_context(EmbeddedRedis(data))
            self._servers.append(store)
            redis = replace(redis, url=store.url)
        self.settings = replace(given, kafka=kafka, redis=redis)
        servers_file.write(given.state_dir, Servers(kafka.bootstrap, redis.url, os.getpid()))
        stack.callback(servers_file.remove, given.state_dir, os.getpid())

    def _program(self, role: str, name: str) -> Program:
        command = [sys.executable, "-m", f"workers.{role}", name]
        log = self.log_dir / f"{name}.log"
        served = self.metrics().get(name, self.settings.metrics)
        settings = replace(self.settings, metrics=served)
        return Program(name, command, log, reader.child_environment(settings))

    def _forget(self, name: str) -> None:
        """A worker of ours is dead for certain: nobody need wait for its time-outs.

        The embedded broker would even keep its partitions for ever.
        """
        role = next(role for role, known in self._processes.names() if known == name)
        kafka, redis = self.settings.kafka, self.settings.redis
        try:
            if role in TRAINED:
                with connect_redis(redis) as client:
                    lease = tasks.key(TRAINER, TRAINED[role])
                    break_lease(client, redis.key_prefix, lease, name)
            elif role != GATEWAY:
                group = tasks.key(SERVING, REPLIES) if role == REPLIES else role
                evict_members(kafka, full_name(kafka, group), [name])
        except (KafkaError, Unavailable) as error:
            self._say(f"{name} is missed only after its time-out: {error!r}")


def _shown(settings: Settings) -> str:
    return settings.redis.url.rpartition("@")[2].removeprefix("redis://")
