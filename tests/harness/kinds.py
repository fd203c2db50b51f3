"""Which servers a test runs on: those that production runs, or those that pip installed.

A test that may run on either has two variants: fixtures take ``KAFKAS``, ``REDISES`` or
``SERVERS`` as their ``params``. ``make test-all`` runs both; ``make test`` (``--one-kind``) runs

- that of production, where this machine can run it, else the embedded one;
- both where the servers themselves are tested (``every_kind``).
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from functools import cache

import pytest

from streamrec.infra.processes.apache_kafka import why_not
from tests.harness.servers import KAFKA_CACHE, required

APACHE, REDIS, EMBEDDED = pytest.mark.apache_kafka, pytest.mark.redis_server, pytest.mark.embedded
KAFKAS = (
    pytest.param("apache_kafka", marks=APACHE, id="apache"),
    pytest.param("embedded_kafka", marks=EMBEDDED, id="embedded"),
)
REDISES = (
    pytest.param("redis_url", marks=REDIS, id="redis"),
    pytest.param("embedded_redis", marks=EMBEDDED, id="embedded"),
)
CLUSTER = pytest.param(
    "redis_cluster", marks=(REDIS, pytest.mark.xdist_group("Redis Cluster")), id="cluster"
)
"""Beside the others, for what must also hold where keys are spread over servers."""
EMBEDDED_OR_CLUSTER = (REDISES[1], CLUSTER)
SERVERS = (
    pytest.param(("apache_kafka", "redis_url"), marks=(APACHE, REDIS), id="apache"),
    pytest.param(("embedded_kafka", "embedded_redis"), marks=EMBEDDED, id="embedded"),
)
PRODUCTION, EMBEDDED_ONES = (
    [kinds[n].values[0] for kinds in (KAFKAS, REDISES, SERVERS)] for n in (0, 1)
)


def of_one_kind(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests, each on the kind of servers that a commit is tested on."""
    variants = defaultdict(list)
    for item in items:
        variants[_test(item)].append(item)
    chosen = {id(item) for found in variants.values() for item in _chosen(found)}
    return [item for item in items if id(item) in chosen]


def _chosen(variants: list[pytest.Item]) -> list[pytest.Item]:
    if len(variants) == 1 or variants[0].get_closest_marker("every_kind"):
        return variants
    wanted = PRODUCTION if _production_runs(variants) else EMBEDDED_ONES
    return [item for item in variants if any(value in wanted for _, value in _arguments(item))]


def _test(item: pytest.Item) -> tuple[str, ...]:
    """The same for both variants of a test."""
    kinds = PRODUCTION + EMBEDDED_ONES
    others = [f"{name}={value}" for name, value in _arguments(item) if value not in kinds]
    return (item.nodeid.partition("[")[0], *others)


def _arguments(item: pytest.Item) -> list[tuple[str, object]]:
    """What the test is parametrized with; names as they are, the rest as text."""
    callspec = getattr(item, "callspec", None)
    params = callspec.params.items() if callspec else ()
    return [(n, v if isinstance(v, str | tuple) else repr(v)) for n, v in params]


def _production_runs(variants: list[pytest.Item]) -> bool:
    marked = {mark.name for item in variants for mark in item.iter_markers()}
    return not (
        ("apache_kafka" in marked and not _java()) or ("redis_server" in marked and not _redis())
    )


@cache
def _java() -> bool:
    return required("REQUIRE_APACHE_KAFKA") or why_not(KAFKA_CACHE) is None


@cache
def _redis() -> bool:
    return required("REQUIRE_REDIS_SERVER") or shutil.which("redis-server") is not None
