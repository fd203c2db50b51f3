"""A registry that was changed behind the control log is refused, by serving and trainer alike."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from streamrec.core.release.registry import Action, ControlRecord, RegistryState
from streamrec.errors import GenerationRefused
from streamrec.loop.releasing.attested import AttestedStore
from tests.fakes.registry import FakeRegistryStore


@pytest.fixture
def store(tmp_path: Path) -> AttestedStore:
    made = tmp_path / "made"
    made.mkdir()
    (made / "manifest.json").write_text('{"files": {}}')
    store = FakeRegistryStore(tmp_path / "registry")
    store.put("g1", made)
    return AttestedStore(store)


def record(digest: str, generation: str = "g1") -> ControlRecord:
    return ControlRecord(Action.STAGE, "t", "", 0, RegistryState(1), generation, digest)


def digest_of(store: AttestedStore) -> str:
    return hashlib.sha256((store.get("g1") / "manifest.json").read_bytes()).hexdigest()


def test_what_was_released_is_handed_out(store: AttestedStore) -> None:
    store.note(record(digest_of(store)))
    assert (store.get("g1") / "manifest.json").is_file()
    assert store.generations() == ["g1"]


def test_a_changed_manifest_is_refused(store: AttestedStore) -> None:
    store.note(record(digest_of(store)))
    path = store.get("g1") / "manifest.json"
    path.write_text('{"files": {"head.safetensors": "of somebody else"}}')
    with pytest.raises(GenerationRefused, match="behind the control log"):
        store.get("g1")


def test_a_later_record_cannot_bless_the_change(store: AttestedStore) -> None:
    store.note(record(digest_of(store)))
    path = store.get("g1") / "manifest.json"
    path.write_text("{}")
    store.note(record(hashlib.sha256(b"{}").hexdigest()))
    with pytest.raises(GenerationRefused):
        store.get("g1")


def test_without_a_digest_in_the_log_the_store_is_believed(store: AttestedStore) -> None:
    store.note(record(""))
    store.note(record("0" * 64, "g2"))
    assert store.get("g1").is_dir()
