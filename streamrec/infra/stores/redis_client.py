"""How Redis is reached: one server, a cluster, or whoever its sentinels call the master.

The only module that knows which; everybody else has a client with the methods of ``redis.Redis``.
Knows the driver's errors, and what to do about each.

In a cluster a key belongs to one server: what is read or written together shares a hash tag, and
what does not goes into a pipeline without a transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.cluster import ClusterNode, RedisCluster, TransactionStrategy
from redis.connection import AbstractConnection, ConnectionPool
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    ExecAbortError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
    TimeoutError,
    TryAgainError,
)
from redis.retry import Retry
from redis.sentinel import Sentinel

from streamrec.errors import Unavailable, UserError
from streamrec.settings import RedisSettings

TIMEOUT_S = 10.0
RETRIES = 3
RETRY_CAP_S = 0.5
PORT, SENTINEL_PORT = 6379, 26379

_SILENCE = (  # the server is down, or not able to do its work for now
    ConnectionError,
    TimeoutError,
    ReadOnlyError,
    ClusterDownError,
    RedisClusterException,
    MovedError,
    TryAgainError,
    ExecAbortError,
    OutOfMemoryError,
    NoPermissionError,
)
# a transaction asks who is master after a refused connection; after one that is silent, too
_found: Any = TransactionStrategy
_found.CONNECTION_ERRORS = (*_found.CONNECTION_ERRORS, TimeoutError)

_MEANINGS = (
    (AuthenticationError, "STREAMREC_REDIS_USERNAME or STREAMREC_REDIS_PASSWORD is wrong"),
    (NoPermissionError, "this Redis user may not do it: docs/operating.md, Rights in Redis"),
    (OutOfMemoryError, "it is full (maxmemory) and takes no writes until there is room"),
    (BusyLoadingError, "it has started and is reading its data from disk"),
    (ReadOnlyError, "it is a replica now, and nobody else answers there as the master"),
    (MovedError, "it is a cluster now, and was none when this process started"),
)
_SAID = {  # the first words of other answers that will not last, or that a setting causes
    "MISCONF": "it takes no writes because it cannot save to its disk",
    "NOREPLICAS": "it takes no writes because too few replicas follow it",
    "BUSY": "a script keeps it busy",
    "DENIED": "it is in protected mode",
}
_IMPOSSIBLE = {  # at connecting: what no waiting will make good
    "cluster mode": "a Redis Cluster has no database but 0: leave /NUMBER out",
    "DB index": "it has no database of that number",
    "unknown command": "it is older than Redis 7",
}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """What ``STREAMREC_REDIS_URL`` names. ``urls``: one for each address, as redis-py reads them.

    ``service``: what the sentinels at these addresses call the master; empty: they are servers.
    """

    urls: tuple[str, ...]
    service: str = ""

    @classmethod
    def of(cls, url: str) -> Self:
        """Addresses by commas; ``redis+sentinel://HOST:PORT,…/SERVICE/DB``. Raises UserError."""
        parts = urlsplit(url)
        scheme, _, sentinel = parts.scheme.partition("+")
        if scheme not in {"redis", "rediss", "unix"} or sentinel not in {"", "sentinel"}:
            raise UserError(f"STREAMREC_REDIS_URL: {_without_password(url)} is no Redis URL")
        path, service = parts.path, ""
        if sentinel:
            service, *database = parts.path.removeprefix("/").split("/")
            path = f"/{database[0]}" if database else ""
            if not service:
                raise UserError(
                    "STREAMREC_REDIS_URL: redis+sentinel://HOST:PORT,…/SERVICE names the service "
                    "that the sentinels watch (often mymaster)"
                )
        user, at, hosts = parts.netloc.rpartition("@")
        query = f"?{parts.query}" if parts.query else ""
        each = (f"{scheme}://{user}{at}{host}{path}{query}" for host in hosts.split(","))
        return cls(tuple(each), unquote(service))


def connect_redis(settings: RedisSettings) -> redis.Redis:
    """A client of whoever is there; it retries a little before it gives up.

    Raises:
        Unavailable: nobody answers, or not as a master that has loaded its data.
        UserError: the address or a file it needs cannot be right.
    """
    address, options = RedisAddress.of(settings.url), _options(settings)
    with redis_errors("connecting"):
        try:
            client = (
                _of_sentinels(address, settings, options)
                if address.service
                else _of_servers(address, options)
            )
            # not answered before its data is loaded; PING is refused too while it takes no writes
            with suppress(NoPermissionError):  # whoever lacks rights is told at what they do
                client.get(f"{settings.key_prefix}:{{fleet}}:?")
        except ResponseError as error:
            raise _impossible(error) from error
    return client


def masters(client: redis.Redis) -> list[redis.Redis]:
    """A client of each server that holds a part of the state. Raises Unavailable."""
    if not isinstance(client, RedisCluster):
        return [client]
    with redis_errors("asking who holds what"):
        nodes: Sequence[Any] = client.get_primaries()
        return [client.get_redis_connection(node) for node in nodes]


@contextmanager
def redis_errors(doing: str) -> Iterator[None]:
    """Turns redis-py's errors into Unavailable, with what was being done."""
    try:
        yield
    except _SILENCE as error:
        raise Unavailable(f"Redis: {doing}: {explained(error)}") from error
    except ResponseError as error:
        if _said(error) is None:
            raise
        raise Unavailable(f"Redis: {doing}: {explained(error)}") from error


def explained(error: Exception) -> str:
    """The driver's message, or what to do where the cause is a setting."""
    known = (meaning for kind, meaning in _MEANINGS if isinstance(error, kind))
    said = next(known, None) or _said(error)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        said = "its certificate is not to be trusted: STREAMREC_REDIS_SSL_CAFILE"
    return f"{said} ({error})" if said else str(error)


def _said(error: Exception) -> str | None:
    words = str(error).split()  # in a pipeline the driver puts its own words before the server's
    return next((meaning for code, meaning in _SAID.items() if code in words), None)


def _impossible(error: ResponseError) -> Exception:
    said = next((meaning for text, meaning in _IMPOSSIBLE.items() if text in str(error)), None)
    return error if said is None else UserError(f"STREAMREC_REDIS_URL: {said} ({error})")


def _options(settings: RedisSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "retry": Retry(ExponentialBackoff(cap=RETRY_CAP_S, base=0.05), RETRIES),
        "health_check_interval": 30,
    }
    if settings.username:
        options["username"] = settings.username
    if settings.password:
        options["password"] = settings.password
    if settings.url.startswith("rediss") and settings.ssl_cafile:
        if not Path(settings.ssl_cafile).is_file():
            raise UserError(f"STREAMREC_REDIS_SSL_CAFILE: {settings.ssl_cafile} is no file")
        options["ssl_ca_certs"] = settings.ssl_cafile
    return options


# -- servers ----------------------------------------------------------------------------


def _of_servers(address: RedisAddress, options: dict[str, Any]) -> redis.Redis:
    """The first that answers says whether they are a cluster."""
    client, mode = _first_answer(address, options)
    if mode == "cluster":
        client.close()
        return _of_cluster(address, options)
    if mode == "sentinel":
        raise UserError(
            "STREAMREC_REDIS_URL: a sentinel answers there; redis+sentinel://HOST:PORT,…/SERVICE "
            "says so and names the service"
        )
    if len(address.urls) > 1:
        raise UserError("STREAMREC_REDIS_URL: several addresses, and who answers is no cluster")
    return client


def _first_answer(address: RedisAddress, options: dict[str, Any]) -> tuple[redis.Redis, str]:
    *others, last = address.urls
    for url in others:
        try:
            return _asked(url, options)
        except (ConnectionError, TimeoutError):
            continue
    return _asked(last, options)


def _asked(url: str, options: dict[str, Any]) -> tuple[redis.Redis, str]:
    client = _of_one(url, options)
    driver: Any = client  # half typed, as all of redis-py
    hello = driver.execute_command("HELLO", "3")
    return client, hello[b"mode"].decode()


def _of_one(url: str, options: dict[str, Any]) -> redis.Redis:
    """One server, which must be a master; whoever answers there when it has failed is another.

    What is connected to a server that has become a replica asks anew who is there.
    """
    pool = ConnectionPool.from_url(
        url, retry_on_error=[ReadOnlyError], redis_connect_func=_refuse_replica, **options
    )
    drop = staticmethod(lambda: pool.disconnect(inuse_connections=False))
    kind = pool.connection_class
    pool.connection_class = type(kind.__name__, (WatchedConnection, kind), {"drop_idle": drop})
    return redis.Redis.from_pool(pool)


class WatchedConnection(AbstractConnection):
    """When one finds that its server is a replica now, all connect anew (also those that only
    read: they would be told of the past)."""

    drop_idle: Any

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)
        except ReadOnlyError:
            self.drop_idle()
            raise


def _refuse_replica(connection: Any) -> None:
    connection.on_connect_check_health(check_health=False)  # a check would connect, and so on
    hello = connection.handshake_metadata or {}
    if hello.get(b"role") == b"replica" and hello.get(b"mode") == b"standalone":
        connection.disconnect()
        raise ConnectionError(
            f"{_place(connection)} is a replica: STREAMREC_REDIS_URL must name the master, an "
            "address that follows it, or redis+sentinel://HOST:PORT,…/SERVICE"
        )


def _place(connection: Any) -> str:
    return str(getattr(connection, "path", "") or f"{connection.host}:{connection.port}")


def _parsed(url: str) -> dict[str, Any]:
    driver: Any = redis.connection
    return dict(driver.parse_url(url))


# -- clusters and sentinels ---------------------------------------------------------------


def _of_cluster(address: RedisAddress, options: dict[str, Any]) -> redis.Redis:
    """It follows slots that move and masters that fail; slots nobody has stop nobody else."""
    first, *others = address.urls
    nodes, node_at = map(_parsed, others), cast(Any, ClusterNode)
    client = RedisCluster.from_url(
        first,
        startup_nodes=[node_at(node["host"], node.get("port", PORT)) for node in nodes],
        require_full_coverage=False,
        reinitialize_steps=1,  # else a transaction whose master is dead never asks for another
        **options,
    )
    return cast(redis.Redis, client)


def _of_sentinels(
    address: RedisAddress, settings: RedisSettings, options: dict[str, Any]
) -> redis.Redis:
    """The sentinels are asked again whenever a connection is made."""
    sentinels = [_parsed(url) for url in address.urls]
    tls = {"ssl": True} if address.urls[0].startswith("rediss") else {}
    named = ("db", "username", "password")
    of_url = {name: value for name, value in sentinels[0].items() if name in named}
    common = {name: value for name, value in options.items() if name not in named} | tls
    password = {"password": settings.sentinel_password} if settings.sentinel_password else {}
    found = cast(Any, Sentinel)(
        [(node["host"], node.get("port", SENTINEL_PORT)) for node in sentinels],
        sentinel_kwargs=common | password,
        **options | tls | of_url,
    )
    client: redis.Redis = found.master_for(address.service)
    return client


def _without_password(url: str) -> str:
    return f"{url.partition('://')[0]}://{url.rpartition('://')[2].rpartition('@')[2]}"
