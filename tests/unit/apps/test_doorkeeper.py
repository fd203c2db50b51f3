"""Whose key a request carries, and whom a gateway without keys takes for a program of its host."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import Request

from streamrec.apps.gateway.doorkeeper import Doorkeeper, is_loopback
from streamrec.core import access
from streamrec.core.access import ANONYMOUS, ApiKey, Role, Scope
from streamrec.errors import AccessRefused
from streamrec.infra.stores.key_file import KeyRing, changed_keys
from tests.fakes.clock import FakeClock

HERE = Scope("streamrec.", "sr")


def request(**headers: str) -> Request:
    named = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/v1/events", "headers": named})


def refused(doorkeeper: Doorkeeper, asked: Request) -> str:
    with pytest.raises(AccessRefused) as raised:
        doorkeeper(asked)
    assert not raised.value.known
    return raised.value.code


@pytest.fixture
def unlocked(tmp_path: Path) -> Doorkeeper:
    return Doorkeeper(KeyRing(tmp_path / "keys.json", HERE, FakeClock(), must_exist=False))


@pytest.fixture
def locked(tmp_path: Path) -> Doorkeeper:
    path = tmp_path / "keys.json"
    roles = frozenset({Role.READ})
    with changed_keys(path) as keys:
        keys.append(ApiKey("k1", "shop", roles, access.digest_of("sr_one"), HERE, 1_000))
    return Doorkeeper(KeyRing(path, HERE, FakeClock()))


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080", "127.0.0.2:1"])
def test_without_keys_a_program_of_this_host_is_let_in(unlocked: Doorkeeper, host: str) -> None:
    assert unlocked(request(host=host)) is ANONYMOUS
    assert unlocked(request(host=host, origin=f"http://{host}")) is ANONYMOUS
    assert refused(unlocked, request(host=host, origin="https://evil.example")) == "key-needed"
    assert refused(unlocked, request(host=host, origin="null")) == "key-needed"


@pytest.mark.parametrize(
    "host", ["evil.example", "10.0.0.7:8080", "", "[", "localhost.evil.example"]
)
def test_without_keys_nobody_else_is(unlocked: Doorkeeper, host: str) -> None:
    assert refused(unlocked, request(host=host)) == "key-needed"


@pytest.mark.parametrize("how", ["Bearer sr_one", "bearer sr_one", "BEARER  sr_one "])
def test_a_key_comes_in_its_header(locked: Doorkeeper, how: str) -> None:
    assert locked(request(host="evil.example", authorization=how)).name == "shop"


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("", "key-needed"),
        ("Bearer", "key-needed"),
        ("Bearer ", "key-needed"),
        ("sr_one", "key-needed"),
        ("Basic sr_one", "key-needed"),
        ("Bearer sr_two", "unknown-key"),
        ("Bearer sr_\u00fc", "unknown-key"),
    ],
)
def test_nothing_else_opens(locked: Doorkeeper, how: str, code: str) -> None:
    assert refused(locked, request(host="127.0.0.1", authorization=how)) == code


def test_what_only_this_host_reaches() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "::1", "localhost", "a.localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "example.org", ""]))
