"""A Redis Cluster of processes: masters that share the slots, and a replica of each."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import redis

from streamrec.core.events import Source
from streamrec.infra.processes.server_process import HOST, free_port
from tests.harness.servers import RedisServer, new_redis_server
from tests.harness.waiting import eventually

MASTERS = 3
SLOTS = 16384
NODE_TIMEOUT_MS = 1000


class ClusterNode(RedisServer):
    """One server of a cluster."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, free_port())
        self.bus_port = free_port()

    def command(self) -> list[str]:
        return [
            *super().command(),
            *("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port)),
            *("--cluster-node-timeout", str(NODE_TIMEOUT_MS)),
        ]


class RedisClusterServers:
    """Six processes. A context manager; skips where none can run."""

    def __init__(self, directory: Path) -> None:
        new_redis_server(directory / "unused")  # skips where none is installed
        self.nodes = [ClusterNode(directory / f"node-{n}") for n in range(2 * MASTERS)]
        self._silent: ClusterNode | None = None
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """Of one of them: the others are found."""
        return f"redis://{self.nodes[0].address}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for node in self.nodes:
                stack.callback(node.kill)
                node.start()
            self._join()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def holder(self, source: Source) -> ClusterNode:
        """The master of a source's keys, as a server that lives says."""
        slot = self._any("CLUSTER", "KEYSLOT", str(source))
        for first, last, master, *_ in self._any("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == master[1])
        raise AssertionError(f"nobody has slot {slot}")

    @contextmanager
    def frozen(self, node: ClusterNode) -> Iterator[None]:
        """It takes connections and says nothing: a host that has lost its network."""
        os.kill(node.pid, signal.SIGSTOP)
        self._silent = node
        try:
            yield
        finally:
            self._silent = None
            os.kill(node.pid, signal.SIGCONT)

    def move(self, source: Source, during: Callable[[], object]) -> None:
        """Give a source's slot to another master; ``during``: called half-way."""
        slot, giver = int(self._any("CLUSTER", "KEYSLOT", str(source))), self.holder(source)
        taker = next(
            node for node in self.nodes if node is not giver and "master" in str(say(node, "ROLE"))
        )
        ids = {node: say(node, "CLUSTER", "MYID") for node in (giver, taker)}
        say(taker, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[giver])
        say(giver, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[taker])
        half_way = False
        while keys := say(giver, "CLUSTER", "GETKEYSINSLOT", slot, 5):
            say(giver, "MIGRATE", HOST, taker.port, "", 0, 5000, "KEYS", *keys)
            if not half_way:
                during()
            half_way = True
        for node in (taker, giver):
            say(node, "CLUSTER", "SETSLOT", slot, "NODE", ids[taker])

    def _join(self) -> None:
        first = self.nodes[0]
        masters, replicas = self.nodes[:MASTERS], self.nodes[MASTERS:]
        share = SLOTS // MASTERS
        for n, node in enumerate(masters):
            end = SLOTS if n == MASTERS - 1 else (n + 1) * share
            say(node, "CLUSTER", "ADDSLOTSRANGE", n * share, end - 1)
            say(node, "CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        for node in self.nodes[1:]:
            say(first, "CLUSTER", "MEET", HOST, node.port, node.bus_port)
        every = 2 * MASTERS
        eventually(lambda: all(known(node) == every for node in self.nodes), what="the cluster met")
        for replica, master in zip(replicas, masters, strict=True):
            say(replica, "CLUSTER", "REPLICATE", say(master, "CLUSTER", "MYID"))
        eventually(
            lambda: (
                all(is_up(node) for node in self.nodes)
                and all("connected" in str(say(node, "ROLE")) for node in replicas)
            ),
            what="the cluster is up",
        )

    def _any(self, *command: str | int) -> Any:
        talking = (node for node in self.nodes if node.running and node is not self._silent)
        return say(next(talking), *command)


def say(node: RedisServer, *command: Any) -> Any:
    """What one server answers."""
    with redis.Redis(HOST, node.port) as client:
        return client.execute_command(*command)


def known(node: RedisServer) -> int:
    lines = say(node, "CLUSTER", "NODES").decode().splitlines()
    return sum("handshake" not in line for line in lines)


def is_up(node: RedisServer) -> bool:
    return b"cluster_state:ok" in say(node, "CLUSTER", "INFO")
