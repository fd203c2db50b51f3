"""Fixtures every test may use: servers, and names nobody else uses.

Servers live for the session and are shared; a test keeps to its own ``fresh_prefix``.
A test that kills a server starts its own (``harness.servers``).
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from streamrec.infra.processes.embedded import EmbeddedKafka, EmbeddedRedis
from tests.harness.kinds import KAFKAS, REDISES, SERVERS, of_one_kind
from tests.harness.redis_cluster import RedisClusterServers
from tests.harness.servers import new_apache_kafka, new_redis_server

# a busy machine is no failure
hypothesis_settings.register_profile(
    "streamrec", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("streamrec")


# a shell starts what it runs in the background with Ctrl-C ignored, and children inherit that;
# the tests send it to the commands they start
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

CHEAP_FIRST = ("unit", "property", "contract", "integration")
TESTS = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    what = "a test that may run on either kind of server runs on one (see tests.harness.kinds)"
    parser.addoption("--one-kind", action="store_true", help=what)
    parser.addoption("--page-figures", help="write pictures of the page into this directory")


def pytest_report_header(config: pytest.Config) -> str:
    one = config.getoption("--one-kind")
    return f"kinds of servers: {'one for each test' if one else 'all'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A broken rule of the core is told before the first server starts.

    With worker processes the slow ones begin first, so that none is left for last.
    """
    items.sort(key=lambda item: CHEAP_FIRST.index(item.path.relative_to(TESTS).parts[0]))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    if config.getoption("--one-kind"):
        chosen = of_one_kind(items)
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


@dataclass(frozen=True)
class Prefix:
    """Names unique to one test, for servers that many tests share."""

    topic: str  # of topics: STREAMREC_KAFKA_TOPIC_PREFIX
    redis: str  # of keys: STREAMREC_REDIS_KEY_PREFIX
    group: str  # of consumer groups


@pytest.fixture
def fresh_prefix() -> Prefix:
    token = uuid.uuid4().hex[:8]
    return Prefix(topic=f"t{token}.", redis=f"t{token}", group=f"g{token}")


@pytest.fixture
def worlds() -> Iterator[Path]:
    """A directory for hundreds of checkpoints or worlds, each thrown away soon.

    In memory where that can be, so that nothing waits for a disk.
    """
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of an Apache Kafka 4 node."""
    server = new_apache_kafka(tmp_path_factory.mktemp("apache-kafka"))
    server.start()
    yield server.bootstrap
    server.kill()  # nobody needs its data: no need to wait for a clean stop


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the machine's own redis-server."""
    with new_redis_server(tmp_path_factory.mktemp("redis-server")) as server:
        yield server.url


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of one of six servers: three masters, three replicas."""
    with RedisClusterServers(tmp_path_factory.mktemp("redis-cluster")) as cluster:
        yield cluster.url


@pytest.fixture(scope="session")
def embedded_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of the broker that pip installed."""
    with EmbeddedKafka(tmp_path_factory.mktemp("embedded-kafka")) as server:
        yield server.bootstrap


@pytest.fixture(scope="session")
def embedded_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the Redis that pip installed."""
    with EmbeddedRedis(tmp_path_factory.mktemp("embedded-redis")) as server:
        yield server.url


@pytest.fixture(params=KAFKAS)
def any_kafka(request: pytest.FixtureRequest) -> str:
    """A bootstrap address; the test runs once per kind of broker."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture(params=REDISES)
def any_redis(request: pytest.FixtureRequest) -> str:
    """A Redis URL; the test runs once per kind of server."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture(params=SERVERS)
def any_servers(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A bootstrap address and a Redis URL: those of production, and those that pip installs."""
    kafka, redis = request.param
    return str(request.getfixturevalue(kafka)), str(request.getfixturevalue(redis))
