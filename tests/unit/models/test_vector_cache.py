"""No text is encoded twice by one version of an encoder; what is damaged is encoded anew."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
import torch

from streamrec.core.events import Item
from streamrec.core.state.catalogue import Catalogue
from streamrec.models.encoder import TextEncoder
from streamrec.models.item_index import ItemIndex
from streamrec.models.vector_cache import CHUNK, FEW, VERSIONS, VectorCache
from tests.fakes.language_models import tiny_encoder
from tests.harness.waiting import eventually

DIM = 8
COUNT = FEW + 60


class Reader:
    """Encodes, and remembers what it was asked for."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.asked: list[str] = []
        self._stop_after = stop_after

    def __call__(self, texts: Sequence[str], stop: threading.Event | None = None) -> torch.Tensor:
        if self._stop_after is not None and len(self.asked) + len(texts) > self._stop_after:
            raise CancelledError
        self.asked += texts
        return torch.tensor([[float(hash(text) % 1000 + n) for n in range(DIM)] for text in texts])


def texts(count: int, first: int = 0) -> list[str]:
    return [f"text {n}" for n in range(first, first + count)]


def files(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.safetensors"))


def test_a_restart_encodes_nothing_twice(tmp_path: Path) -> None:
    wanted, first, second = texts(2 * CHUNK + FEW), Reader(), Reader()
    made = VectorCache(tmp_path).encode("v1", wanted, first)
    again = VectorCache(tmp_path)
    assert torch.equal(again.encode("v1", wanted[::-1], second), made.flip(0))
    assert sorted(first.asked) == sorted(wanted)
    assert second.asked == []
    assert again.gauges()["texts_from_disk"] == len(wanted)


def test_another_version_is_another_encoder(tmp_path: Path) -> None:
    reader = Reader()
    cache = VectorCache(tmp_path)
    for version in ("v1", "v2"):
        cache.encode(version, texts(FEW), reader)
    assert len(reader.asked) == 2 * FEW


def test_a_few_are_kept_here_and_written_when_they_are_many(tmp_path: Path) -> None:
    cache, reader = VectorCache(tmp_path), Reader()
    for n in range(FEW - 1):
        cache.encode("v1", texts(1, n), reader)
    assert files(tmp_path) == []
    cache.encode("v1", texts(FEW - 1), reader)
    assert len(reader.asked) == FEW - 1
    cache.encode("v1", texts(1, FEW), reader)
    assert len(files(tmp_path)) == 1


def test_what_was_done_before_an_end_is_not_done_again(tmp_path: Path) -> None:
    wanted, cache = texts(3 * CHUNK), VectorCache(tmp_path)
    with pytest.raises(CancelledError):
        cache.encode("v1", wanted, Reader(stop_after=2 * CHUNK))
    assert cache.gauges()["texts_to_encode"] == 0
    rest = Reader()
    VectorCache(tmp_path).encode("v1", wanted, rest)
    assert rest.asked == wanted[2 * CHUNK :]


@pytest.mark.parametrize("harm", ["cut", "flipped", "foreign", "empty"])
def test_a_file_that_cannot_be_trusted_is_told_and_encoded_anew(
    tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = texts(FEW)
    made = VectorCache(tmp_path).encode("v1", wanted, Reader())
    (path,) = files(tmp_path)
    content = path.read_bytes()
    if harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif harm == "flipped":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif harm == "empty":
        path.write_bytes(b"")
    else:
        VectorCache(tmp_path / "other").encode("v2", wanted, Reader())
        path.write_bytes(files(tmp_path / "other")[0].read_bytes())
    cache, reader = VectorCache(tmp_path), Reader()
    with caplog.at_level(logging.WARNING):
        assert torch.equal(cache.encode("v1", wanted, reader), made)
    assert reader.asked == wanted
    assert cache.gauges()["vector_files_refused"] == 1
    assert "refused and its texts are encoded anew" in caplog.text
    assert len(files(path.parent)) == 1
    assert path.with_suffix(".refused").exists()


def test_what_is_not_finite_is_not_kept(tmp_path: Path) -> None:
    def broken(texts: Sequence[str], stop: threading.Event | None = None) -> torch.Tensor:
        return torch.full((len(texts), DIM), float("nan"))

    VectorCache(tmp_path).encode("v1", texts(FEW), broken)
    assert files(tmp_path) == []


def test_two_that_encode_at_once_share_the_work(tmp_path: Path) -> None:
    wanted, readers = texts(4 * CHUNK), [Reader(), Reader()]
    threads = [
        threading.Thread(target=VectorCache(tmp_path).encode, args=("v1", wanted, reader))
        for reader in readers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(readers[0].asked + readers[1].asked) == sorted(wanted)


def test_who_waits_for_another_can_be_stopped(tmp_path: Path) -> None:
    busy, go_on = threading.Event(), threading.Event()

    def slow(texts: Sequence[str], stop: threading.Event | None = None) -> torch.Tensor:
        busy.set()
        go_on.wait()
        return Reader()(texts)

    first = threading.Thread(target=VectorCache(tmp_path).encode, args=("v1", texts(FEW), slow))
    first.start()
    eventually(busy.is_set)
    stop = threading.Event()
    stop.set()
    with pytest.raises(CancelledError):
        VectorCache(tmp_path).encode("v1", texts(FEW), Reader(), stop)
    go_on.set()
    first.join()


def test_old_versions_go_and_those_in_use_stay(tmp_path: Path) -> None:
    user = VectorCache(tmp_path)
    user.encode("in use", texts(FEW), Reader())
    for n in range(3 * VERSIONS):
        VectorCache(tmp_path).encode(f"v{n}", texts(FEW), Reader())
        newer = VectorCache(tmp_path)
        for more in range(VERSIONS + 1):  # closes those before
            newer.encode(f"w{n}-{more}", texts(1), Reader())
    again = Reader()
    user.encode("in use", texts(FEW), again)
    VectorCache(tmp_path).encode("in use", texts(FEW), again)
    assert again.asked == []


def test_progress_is_told_while_it_encodes(tmp_path: Path) -> None:
    cache, told = VectorCache(tmp_path), []

    def watched(texts: Sequence[str], stop: threading.Event | None = None) -> torch.Tensor:
        told.append(cache.gauges()["texts_to_encode"])
        return Reader()(texts)

    cache.encode("v1", texts(3 * CHUNK), watched)
    assert told == [3 * CHUNK, 2 * CHUNK, CHUNK]
    assert cache.gauges()["texts_to_encode"] == 0


def test_an_index_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    catalogue = Catalogue()
    catalogue.put([Item(f"i{n}", f"harbour {n}" if n % 9 else "") for n in range(COUNT)])
    plain = ItemIndex(tiny_encoder())
    plain.ensure(catalogue)
    for expected in (0, COUNT):  # the second time everything is on disk
        cache = VectorCache(tmp_path)
        encoder: TextEncoder = tiny_encoder(kept=cache)
        index = ItemIndex(encoder)
        assert index.ensure(catalogue) == COUNT
        assert torch.equal(index.vectors, plain.vectors)
        assert index.key == plain.key
        assert cache.gauges()["texts_from_disk"] == expected


def test_a_directory_that_cannot_be_used_costs_time_only(tmp_path: Path, caplog) -> None:
    (tmp_path / "vectors").write_text("a file")
    cache, reader = VectorCache(tmp_path / "vectors"), Reader()
    for _ in range(2):
        assert len(cache.encode("v1", texts(COUNT), reader)) == COUNT
    assert len(reader.asked) == 2 * COUNT
    assert caplog.text.count("every restart encodes every text") == 1


def test_what_somebody_removes_meanwhile_is_encoded_anew(tmp_path: Path, caplog) -> None:
    cache, reader, wanted = VectorCache(tmp_path), Reader(), texts(COUNT)
    made = cache.encode("v1", wanted, reader)
    assert torch.equal(cache.encode("v1", wanted, Reader(0)), made)
    shutil.rmtree(tmp_path)
    assert torch.equal(cache.encode("v1", wanted, reader), made)
    assert reader.asked == wanted * 2
    assert "is gone" in caplog.text
    assert torch.equal(VectorCache(tmp_path).encode("v1", wanted, Reader(0)), made)
