"""Generation directories: whole ones load, and each kind of bad one is refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from streamrec.core.release.manifest import Manifest
from streamrec.errors import GenerationRefused
from streamrec.models.generation import (
    HEAD_FILE,
    MANIFEST_FILE,
    Expectations,
    check_generation,
    expectations,
    file_digest,
    read_generation,
    write_manifest,
    write_weights,
)
from tests.fakes.generations import HEAD, draft, head
from tests.fakes.language_models import WIDTH, stir, tiny_encoder

ADAPTER_FILE = "adapter_model.safetensors"


@pytest.fixture
def expected() -> Expectations:
    return expectations(tiny_encoder(), "features-1", HEAD)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "candidate"
    encoder = tiny_encoder()
    encoder.load_adapter_state(stir(encoder))
    write_weights(path, encoder, head(), torch.full((WIDTH,), 0.25))
    write_manifest(path, 12, draft(encoder_version=encoder.encoder_version))
    return path


def rewrite(directory: Path, **changes: object) -> None:
    """Change the manifest, keeping the rest as it is."""
    path = directory / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def retensor(directory: Path, name: str, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change a file's tensors and make the manifest agree, as a buggy writer would."""
    tensors = {key: tensor.clone() for key, tensor in load_file(directory / name).items()}
    change(tensors)
    (directory / name).unlink()
    save_file(tensors, directory / name)
    manifest = json.loads((directory / MANIFEST_FILE).read_text())
    rewrite(directory, files=manifest["files"] | {name: file_digest(directory / name)})


def test_what_is_written_is_read(directory: Path, expected: Expectations) -> None:
    generation = read_generation(directory, expected)
    assert sorted(path.name for path in directory.iterdir()) == [
        "adapter_config.json",
        ADAPTER_FILE,
        HEAD_FILE,
        MANIFEST_FILE,
    ]
    for name, tensor in head().items():
        assert torch.equal(generation.head[name], tensor)
    assert torch.equal(generation.centre, torch.full((WIDTH,), 0.25))
    encoder = tiny_encoder()
    encoder.load_adapter_state(generation.adapter)
    assert encoder.encoder_version == generation.manifest.encoder_version


def test_the_manifest_survives_json(directory: Path, expected: Expectations) -> None:
    manifest = check_generation(directory, expected)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert manifest.trained_through == {"0": 9, "1": 0}
    assert manifest.generation.startswith("g000012-")
    assert replace(manifest, generation="", files={}) == draft(
        encoder_version=manifest.encoder_version
    )


def test_the_id_tells_contents_apart(tmp_path: Path) -> None:
    ids = set()
    for seed in (0, 0, 1):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        write_weights(path, tiny_encoder(), head(seed), torch.zeros(WIDTH))
        ids.add(write_manifest(path, 3, draft()).generation)
    assert len(ids) == 2


def test_half_written(directory: Path, expected: Expectations) -> None:
    (directory / MANIFEST_FILE).unlink()
    with pytest.raises(GenerationRefused, match="half-written"):
        check_generation(directory, expected)


def test_no_directory(tmp_path: Path, expected: Expectations) -> None:
    with pytest.raises(GenerationRefused, match="not a directory"):
        check_generation(tmp_path / "nowhere", expected)


@pytest.mark.parametrize("name", ["adapter_config.json", ADAPTER_FILE, HEAD_FILE])
def test_a_missing_file(directory: Path, expected: Expectations, name: str) -> None:
    (directory / name).unlink()
    with pytest.raises(GenerationRefused, match=f"missing: \\['{name}"):
        check_generation(directory, expected)


def test_an_unknown_file(directory: Path, expected: Expectations) -> None:
    (directory / "README.md").write_text("hello")
    with pytest.raises(GenerationRefused, match=r"unknown: \['README.md"):
        check_generation(directory, expected)


def test_a_symbolic_link(directory: Path, expected: Expectations) -> None:
    (directory / HEAD_FILE).rename(directory.parent / "elsewhere")
    (directory / HEAD_FILE).symlink_to(directory.parent / "elsewhere")
    with pytest.raises(GenerationRefused, match="not a plain file"):
        check_generation(directory, expected)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a pickle was loaded",))


@pytest.mark.parametrize("name", ["adapter_model.bin", "head.pt", "optimizer.pkl"])
def test_a_pickle_is_refused_unopened(directory: Path, expected: Expectations, name: str) -> None:
    (directory / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(GenerationRefused, match="pickles are never loaded"):
        check_generation(directory, expected)


def test_a_pickle_dressed_as_safetensors(directory: Path, expected: Expectations) -> None:
    (directory / HEAD_FILE).write_bytes(pickle.dumps(Bomb()))
    manifest = json.loads((directory / MANIFEST_FILE).read_text())
    files = manifest["files"] | {HEAD_FILE: file_digest(directory / HEAD_FILE)}
    rewrite(directory, files=files)
    with pytest.raises(GenerationRefused, match="not safetensors"):
        check_generation(directory, expected)


@pytest.mark.parametrize("name", ["adapter_config.json", ADAPTER_FILE, HEAD_FILE])
def test_a_flipped_bit(directory: Path, expected: Expectations, name: str) -> None:
    content = bytearray((directory / name).read_bytes())
    content[-1] ^= 1
    (directory / name).write_bytes(content)
    with pytest.raises(GenerationRefused, match=f"{name} is not the file"):
        check_generation(directory, expected)


def test_a_truncated_file(directory: Path, expected: Expectations) -> None:
    content = (directory / ADAPTER_FILE).read_bytes()
    (directory / ADAPTER_FILE).write_bytes(content[: len(content) // 2])
    with pytest.raises(GenerationRefused):
        check_generation(directory, expected)


def test_another_base_model(directory: Path, expected: Expectations) -> None:
    with pytest.raises(GenerationRefused, match="another base model"):
        check_generation(directory, replace(expected, base_digest="f" * 64))


def test_another_feature_set(directory: Path, expected: Expectations) -> None:
    with pytest.raises(GenerationRefused, match="feature set"):
        check_generation(directory, replace(expected, feature_set="features-2"))


def test_another_rank(directory: Path) -> None:
    with pytest.raises(GenerationRefused, match="has shape"):
        check_generation(directory, expectations(tiny_encoder(rank=4), "features-1", HEAD))


def test_other_layers(directory: Path) -> None:
    with pytest.raises(GenerationRefused, match="missing"):
        check_generation(directory, expectations(tiny_encoder(layers=1), "features-1", HEAD))


def test_a_head_of_another_shape(directory: Path, expected: Expectations) -> None:
    with pytest.raises(GenerationRefused, match=r"skip\.weight has shape"):
        check_generation(directory, replace(expected, head=HEAD | {"skip.weight": (1, 6)}))


def test_a_head_without_centre(directory: Path, expected: Expectations) -> None:
    retensor(directory, HEAD_FILE, lambda tensors: tensors.pop("index_centre"))
    with pytest.raises(GenerationRefused, match="index_centre"):
        check_generation(directory, expected)


@pytest.mark.parametrize("name", [ADAPTER_FILE, HEAD_FILE])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(
    directory: Path, expected: Expectations, name: str, value: float
) -> None:
    def poison(tensors: dict[str, torch.Tensor]) -> None:
        tensors[sorted(tensors)[0]].view(-1)[0] = value

    retensor(directory, name, poison)
    with pytest.raises(GenerationRefused, match="not finite"):
        check_generation(directory, expected)


@pytest.mark.parametrize(
    "text", ["", "[]", '"x"', "{}", "{", b"\xff\xfe", '{"generation": "g1"}', "[" * 100_000]
)
def test_a_manifest_that_is_none(
    directory: Path, expected: Expectations, text: str | bytes
) -> None:
    (directory / MANIFEST_FILE).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(GenerationRefused):
        check_generation(directory, expected)


@pytest.mark.parametrize(
    "change",
    [
        {"offsets": {"0": [5, 3]}},
        {"offsets": {"0": [5]}},
        {"offsets": []},
        {"files": {"../../etc/passwd": "0"}},
        {"files": {}},
        {"created_at_ms": "today"},
        {"base_digest": None},
        {"surprise": 1},
    ],
)
def test_a_manifest_with_an_absurd_field(
    directory: Path, expected: Expectations, change: dict[str, object]
) -> None:
    rewrite(directory, **change)
    with pytest.raises(GenerationRefused):
        check_generation(directory, expected)


def test_a_directory_that_is_not_finished_is_not_signed(tmp_path: Path) -> None:
    tiny_encoder().save_adapter(tmp_path)
    with pytest.raises(GenerationRefused, match=r"head\.safetensors"):
        write_manifest(tmp_path, 1, draft())
    assert not (tmp_path / MANIFEST_FILE).exists()
