"""The keys file: whole or not at all, read again when it changes, and what a broken one does."""

from __future__ import annotations

import json
import logging
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from streamrec.core import access
from streamrec.core.access import ApiKey, Role, Scope
from streamrec.errors import AccessRefused, UserError
from streamrec.infra.stores import key_file
from streamrec.infra.stores.key_file import CHECK_S, KeyRing, changed_keys, read_keys
from tests.fakes.clock import FakeClock

HERE = Scope("streamrec.", "sr", "a1b2")


def key(secret: str, name: str = "shop") -> ApiKey:
    digest = access.digest_of(secret)
    return ApiKey(key_file.new_key_id(), name, frozenset({Role.READ}), digest, HERE, 1_000)


class Ticking:
    """Time passes when asked to."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "keys.json"
    with changed_keys(path) as keys:
        keys.append(key("sr_one"))
    return path


def ring(path: Path, ticking: Ticking | None = None) -> KeyRing:
    return KeyRing(path, HERE, FakeClock(), ticking or Ticking())


def test_a_secret_is_256_bits_and_stands_nowhere(path: Path) -> None:
    secrets = {key_file.new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(len(secret) == len("sr_") + 43 for secret in secrets)
    assert "sr_one" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_change_that_fails_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    half_way = RuntimeError("half-way")

    def change() -> None:
        with changed_keys(path) as keys:
            keys.clear()
            raise half_way

    with pytest.raises(RuntimeError, match="half-way"):
        change()
    assert path.read_bytes() == before
    assert {found.name for found in path.parent.iterdir()} == {"keys.json", ".keys.json.lock"}


def test_changes_at_once_are_all_kept(path: Path) -> None:
    def add(number: int) -> None:
        with changed_keys(path) as keys:
            keys.append(key(f"sr_{number}", f"shop-{number}"))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {found.name for found in read_keys(path)} == {
        "shop",
        *(f"shop-{number}" for number in range(12)),
    }


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ("[]", "no list of keys"),
        ('{"version": 1}', "no list of keys"),
        ('{"version": 9, "keys": []}', "version 9"),
        ('{"version": 1, "keys": [{"id": "k1"}]}', "key 1: it has no name"),
        ('{"version": 1, "keys": ["k1"]}', "key 1: a key is an object"),
        ("\xff\xfe", "not JSON"),
    ],
)
def test_a_broken_file_is_refused_aloud(path: Path, content: str, says: str) -> None:
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=says):
        read_keys(path)
    with pytest.raises(UserError, match=says):
        ring(path)
    with pytest.raises(UserError, match=says), changed_keys(path) as keys:
        keys.clear()
    assert path.read_bytes() == content.encode("latin-1"), "what is broken is a person's to mend"


def test_a_file_that_everybody_may_write_is_refused(path: Path) -> None:
    path.chmod(0o666)
    with pytest.raises(UserError, match="chmod 600"):
        read_keys(path)


def test_a_running_gateway_takes_a_changed_file_and_keeps_the_last_good_one(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    ticking = Ticking()
    keys, told = ring(path, ticking), list[str]()
    keys.counted = told.append
    assert keys.find("sr_one").name == "shop"

    with changed_keys(path) as changing:
        changing.append(key("sr_two", "second"))
    with pytest.raises(AccessRefused):
        keys.find("sr_two")
    ticking.now_s += CHECK_S
    assert keys.find("sr_two").name == "second"
    assert keys.find("sr_one").name == "shop", "two are valid at once"

    good = path.read_text()
    path.write_text(good[: len(good) // 2])
    ticking.now_s += CHECK_S
    assert keys.find("sr_two").name == "second"
    assert "not JSON" in keys.problem
    assert told == ["read", "broken"]
    ticking.now_s += CHECK_S
    keys.find("sr_one")
    assert told == ["read", "broken"], "told once for a content"

    path.unlink()
    ticking.now_s += CHECK_S
    assert keys.find("sr_one").name == "shop"
    assert (told[2:], "No such file" in keys.problem) == (["broken"], True)

    with changed_keys(path) as changing:
        changing.append(key("sr_three"))
    ticking.now_s += CHECK_S
    assert keys.find("sr_three").name == "shop"
    with pytest.raises(AccessRefused):
        keys.find("sr_one")
    assert (told[3:], keys.problem, len(keys)) == (["read"], "", 1)
    said = [record.getMessage() for record in caplog.records]
    assert sum("stays valid" in line for line in said) == 2
    assert not any("sr_" in line for line in said)


def test_a_mounted_secret_is_followed_through_its_link(path: Path, tmp_path: Path) -> None:
    """As Kubernetes swaps it: the file is a link into a directory that is replaced."""
    old, new, data = tmp_path / "old", tmp_path / "new", tmp_path / "..data"
    for directory, secret in ((old, "sr_old"), (new, "sr_new")):
        directory.mkdir()
        record = access.to_record(key(secret))
        (directory / "keys.json").write_text(json.dumps({"version": 1, "keys": [record]}))
    data.symlink_to(old)
    mounted = tmp_path / "keys.json"
    mounted.symlink_to("..data/keys.json")
    ticking = Ticking()
    keys = ring(mounted, ticking)
    assert keys.find("sr_old")
    aside = tmp_path / "..aside"
    aside.symlink_to(new)
    aside.replace(data)
    ticking.now_s += CHECK_S
    assert keys.find("sr_new")


def test_an_expired_key_ends_without_a_change_of_the_file(path: Path) -> None:
    clock = FakeClock()
    with changed_keys(path) as changing:
        changing[0] = replace(changing[0], expires_at_ms=clock.now_ms() + 10)
    keys = KeyRing(path, HERE, clock, Ticking())
    assert keys.find("sr_one")
    clock.pass_ms(10)
    with pytest.raises(AccessRefused, match="expired"):
        keys.find("sr_one")


def test_where_no_file_has_to_be_one_may_appear_and_then_it_stays_closed(tmp_path: Path) -> None:
    path, ticking = tmp_path / "keys.json", Ticking()
    with pytest.raises(UserError, match="No such file"):
        ring(path)
    keys = KeyRing(path, HERE, FakeClock(), ticking, must_exist=False)
    assert keys.missing
    with changed_keys(path) as changing:
        changing.append(key("sr_one"))
    ticking.now_s += CHECK_S
    assert not keys.missing
    assert keys.find("sr_one")
    path.unlink()
    ticking.now_s += CHECK_S
    assert (keys.missing, len(keys)) == (False, 1)


def test_a_file_that_appears_broken_closes_too(tmp_path: Path) -> None:
    path, ticking = tmp_path / "keys.json", Ticking()
    keys = KeyRing(path, HERE, FakeClock(), ticking, must_exist=False)
    path.write_text("{")
    ticking.now_s += CHECK_S
    assert (keys.missing, len(keys)) == (False, 0)
    assert "not JSON" in keys.problem
