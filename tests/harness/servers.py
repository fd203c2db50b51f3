"""The servers and programs that tests run against, and why one may be missing.

``REQUIRE_APACHE_KAFKA=1``, ``REQUIRE_REDIS_SERVER=1``, ``REQUIRE_PROMETHEUS=1``,
``REQUIRE_CHROMIUM=1`` and ``REQUIRE_HELM=1`` turn a skip into a failure; CI sets all of them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from streamrec.infra.processes.apache_kafka import ApacheKafka, resolve_jars, why_not
from streamrec.infra.processes.embedded import EmbeddedRedis

REPOSITORY = Path(__file__).parents[2]
KAFKA_CACHE = REPOSITORY / ".cache" / "apache-kafka"


class RedisServer(EmbeddedRedis):
    """The machine's own redis-server, append-only file on."""

    name = "redis-server"

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        super().__init__(data_dir, port, Path(shutil.which("redis-server") or "redis-server"))


def new_apache_kafka(
    data_dir: Path,
    properties: dict[str, str] | None = None,
    listeners: dict[str, int] | None = None,
) -> ApacheKafka:
    """A node of its own (about 250 MB), not started; skips where it cannot run."""
    reason = why_not(KAFKA_CACHE)
    if reason is not None:
        skip_or_fail("REQUIRE_APACHE_KAFKA", f"{reason}: tests against Apache Kafka")
    resolve_jars(KAFKA_CACHE)
    return ApacheKafka(data_dir, KAFKA_CACHE, properties=properties, listeners=listeners)


def new_redis_server(data_dir: Path) -> RedisServer:
    """A server of its own, not started; skips where none is installed."""
    if shutil.which("redis-server") is None:
        skip_or_fail("REQUIRE_REDIS_SERVER", "redis-server not found: tests against real Redis")
    return RedisServer(data_dir)


def program(name: str, switch: str, tests: str) -> str:
    """Where ``name`` is: on the PATH, or built into .cache/bin; skips where it is not here.

    ``program("promtool", "REQUIRE_PROMETHEUS", "tests of alerts")``; ``"chromium"`` goes with
    ``REQUIRE_CHROMIUM``, ``"helm"`` with ``REQUIRE_HELM``.
    """
    found = shutil.which(name) or shutil.which(name, path=str(REPOSITORY / ".cache" / "bin"))
    if found is None:
        skip_or_fail(switch, f"{name} not found: {tests}")
    return str(found)


def required(switch: str) -> bool:
    return os.environ.get(switch, "") not in {"", "0"}


def skip_or_fail(switch: str, what: str) -> None:
    if required(switch):
        pytest.fail(f"{what} cannot run, but {switch} is set", pytrace=False)
    pytest.skip(f"{what} are skipped")
