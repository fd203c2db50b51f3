"""One contract for every registry store: the fake, a directory, an object store."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import fsspec
import pytest

from streamrec.errors import GenerationRefused
from streamrec.infra.stores.registry_store import DirectoryRegistry, ObjectRegistry, open_registry
from streamrec.ports import RegistryStore
from tests.fakes.registry import FakeRegistryStore


@pytest.fixture(params=["fake", "directory", "object store"])
def store(request, tmp_path: Path) -> RegistryStore:
    if request.param == "fake":
        return FakeRegistryStore(tmp_path / "registry")
    if request.param == "directory":
        return open_registry(str(tmp_path / "registry"), tmp_path / "cache")
    return open_registry(f"memory://{uuid.uuid4().hex}/registry", tmp_path / "cache")


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    directory = tmp_path / "work" / "g"
    (directory / "tokenizer").mkdir(parents=True)
    (directory / "head.safetensors").write_bytes(b"weights")
    (directory / "tokenizer" / "vocab.txt").write_text("a b")
    (directory / "manifest.json").write_text("{}")
    return directory


def test_an_empty_registry_lists_nothing(store) -> None:
    assert store.generations() == []


def test_what_is_put_comes_back_file_by_file(store, finished) -> None:
    store.put("g000001-1a2b3c4d", finished)
    got = store.get("g000001-1a2b3c4d")
    files = {p.relative_to(got).as_posix(): p.read_bytes() for p in got.rglob("*") if p.is_file()}
    assert files == {
        "head.safetensors": b"weights",
        "tokenizer/vocab.txt": b"a b",
        "manifest.json": b"{}",
    }


def test_generations_come_in_order(store, finished) -> None:
    for generation in ("g000010-b", "g000002-a", "g000001-c"):
        store.put(generation, finished)
    assert store.generations() == ["g000001-c", "g000002-a", "g000010-b"]


def test_a_generation_never_changes(store, finished) -> None:
    store.put("g000001-a", finished)
    (finished / "head.safetensors").write_bytes(b"others")
    store.put("g000001-a", finished)
    assert (store.get("g000001-a") / "head.safetensors").read_bytes() == b"weights"


def test_an_unknown_generation_is_refused(store) -> None:
    with pytest.raises(GenerationRefused, match="not in the registry"):
        store.get("g000009-z")


def test_an_unfinished_directory_is_refused(store, finished) -> None:
    (finished / "manifest.json").unlink()
    with pytest.raises(GenerationRefused, match="not finished"):
        store.put("g000001-a", finished)
    assert store.generations() == []


@pytest.mark.parametrize("name", ["../escape", ".hidden", "a/b", ""])
def test_a_name_that_leaves_the_registry_is_refused(tmp_path, finished, name) -> None:
    for store in (
        open_registry(str(tmp_path / "r"), tmp_path / "c"),
        open_registry("memory://names", tmp_path / "c"),
    ):
        with pytest.raises(GenerationRefused, match="no generation id"):
            store.put(name, finished)
        with pytest.raises(GenerationRefused, match="no generation id"):
            store.get(name)


def test_a_copy_under_way_or_left_by_a_crash_is_not_there(tmp_path, finished) -> None:
    root = tmp_path / "registry"
    aside = root / ".incoming-g000001-a-123"
    aside.mkdir(parents=True)
    (aside / "manifest.json").write_text("{}")
    store = DirectoryRegistry(root)
    assert store.generations() == []
    store.put("g000001-a", finished)
    assert store.generations() == ["g000001-a"]


def test_writers_of_one_generation_at_once_leave_one_whole_copy(tmp_path, finished) -> None:
    store = DirectoryRegistry(tmp_path / "registry")
    threads = [threading.Thread(target=store.put, args=("g000001-a", finished)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.generations() == ["g000001-a"]
    assert [path.name for path in (tmp_path / "registry").iterdir()] == ["g000001-a"]
    assert len(list(store.get("g000001-a").rglob("*"))) == 4


def test_an_upload_cut_short_is_not_there_and_can_be_finished(tmp_path, finished) -> None:
    memory = fsspec.filesystem("memory")
    root = f"/{uuid.uuid4().hex}"
    store = ObjectRegistry(memory, root, tmp_path / "cache", "memory://")
    memory.pipe(f"{root}/g000001-a/head.safetensors", b"half")
    assert store.generations() == []
    with pytest.raises(GenerationRefused):
        store.get("g000001-a")
    store.put("g000001-a", finished)
    assert (store.get("g000001-a") / "head.safetensors").read_bytes() == b"weights"


def test_a_file_url_is_a_directory(tmp_path) -> None:
    assert isinstance(open_registry(f"file://{tmp_path}/r", tmp_path), DirectoryRegistry)
