"""WarmGenerations: build aside, flip one reference, leave everything as it was on failure."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from streamrec.core.events import Item
from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import GenerationRefused
from streamrec.models.encoder import TextEncoder
from streamrec.models.generation import (
    Generation,
    expectations,
    write_manifest,
    write_weights,
)
from streamrec.models.hotswap import WarmGenerations, encoded_generations
from streamrec.models.item_index import ItemIndex
from tests.fakes.generations import HEAD, draft, head
from tests.fakes.language_models import WIDTH, stir, tiny_encoder


@dataclass(frozen=True)
class FakeModel:
    generation: str
    index: ItemIndex
    bias: float


def make(generation: Generation, index: ItemIndex) -> FakeModel:
    return FakeModel(
        generation.manifest.generation, index, float(generation.head["skip.weight"][0, 0])
    )


@pytest.fixture
def encoder() -> TextEncoder:
    return tiny_encoder()


@pytest.fixture
def swap(encoder: TextEncoder) -> WarmGenerations[FakeModel]:
    return encoded_generations(encoder, expectations(encoder, "features-1", HEAD), make)


@pytest.fixture
def catalogue() -> Catalogue:
    catalogue = Catalogue()
    catalogue.put(Item(f"i{n}", f"film number {n}") for n in range(20))
    return catalogue


def generation(
    path: Path, encoder: TextEncoder, sequence: int, adapter_seed: int = 0, head_seed: int = 0
) -> tuple[str, Path]:
    twin = encoder.with_adapter(stir(encoder, seed=adapter_seed))
    directory = path / f"{sequence}"
    write_weights(directory, twin, head(head_seed), torch.zeros(WIDTH))
    manifest = write_manifest(directory, sequence, draft(encoder_version=twin.encoder_version))
    return manifest.generation, directory


def test_stage_then_flip(
    swap: WarmGenerations[FakeModel], encoder: TextEncoder, catalogue: Catalogue, tmp_path: Path
) -> None:
    assert swap.active is None
    name, directory = generation(tmp_path, encoder, 1)
    with pytest.raises(GenerationRefused, match="stage it first"):
        swap.activate(name)
    swap.stage(name, directory, catalogue)
    assert swap.active is None
    assert swap.is_warm(name)
    swap.activate(name)
    assert swap.active is not None
    assert swap.active.generation == name
    expected = encoder.with_adapter(stir(encoder, seed=0)).encode(["film number 7"])[0]
    torch.testing.assert_close(swap.active.index.vectors[7], expected, atol=1e-5, rtol=0)


def test_the_previous_one_stays_warm_and_answers_the_same(
    swap: WarmGenerations[FakeModel], encoder: TextEncoder, catalogue: Catalogue, tmp_path: Path
) -> None:
    first, first_directory = generation(tmp_path, encoder, 1, adapter_seed=1)
    second, second_directory = generation(tmp_path, encoder, 2, adapter_seed=2)
    swap.stage(first, first_directory, catalogue)
    swap.activate(first)
    old = swap.active
    assert old is not None
    vectors = old.index.vectors.clone()
    swap.stage(second, second_directory, catalogue)
    swap.activate(second)
    swap.activate(first)
    assert swap.active is old
    assert torch.equal(old.index.vectors, vectors)


def test_a_fast_generation_shares_the_index(
    swap: WarmGenerations[FakeModel], encoder: TextEncoder, catalogue: Catalogue, tmp_path: Path
) -> None:
    models = []
    for sequence, (adapter_seed, head_seed) in enumerate([(1, 0), (1, 1), (2, 1)]):
        name, directory = generation(tmp_path, encoder, sequence, adapter_seed, head_seed)
        swap.stage(name, directory, catalogue)
        swap.activate(name)
        models.append(swap.active)
    fast, slower, slow = models
    assert fast is not None
    assert slower is not None
    assert slow is not None
    assert fast.index is slower.index
    assert fast.bias != slower.bias
    assert slow.index is not fast.index
    catalogue.put([Item("new", "a new film")])
    assert swap.ensure(catalogue) == 2, "one new item, two distinct indexes"
    assert len(fast.index) == len(slow.index) == 21


def test_a_refused_generation_changes_nothing(
    swap: WarmGenerations[FakeModel], encoder: TextEncoder, catalogue: Catalogue, tmp_path: Path
) -> None:
    good, good_directory = generation(tmp_path, encoder, 1)
    swap.stage(good, good_directory, catalogue)
    swap.activate(good)
    active = swap.active
    bad, bad_directory = generation(tmp_path, encoder, 2)
    (bad_directory / "head.safetensors").write_bytes(b"\0" * 16)
    with pytest.raises(GenerationRefused):
        swap.stage(bad, bad_directory, catalogue)
    with pytest.raises(GenerationRefused, match="says it is"):
        swap.stage("g000009-deadbeef", good_directory, catalogue)
    assert swap.active is active
    assert swap.warm == (good,)


def test_weights_that_mean_something_else_here_are_refused(
    encoder: TextEncoder, catalogue: Catalogue, tmp_path: Path
) -> None:
    name, directory = generation(tmp_path, encoder, 1)
    other = tiny_encoder(alpha=32.0)  # same tensors, other vectors
    swap = encoded_generations(other, expectations(other, "features-1", HEAD), make)
    with pytest.raises(GenerationRefused, match="must be the same in every worker"):
        swap.stage(name, directory, catalogue)


def test_keep_forgets_the_rest_but_never_the_active(
    swap: WarmGenerations[FakeModel], encoder: TextEncoder, catalogue: Catalogue, tmp_path: Path
) -> None:
    names = []
    for sequence in range(4):
        name, directory = generation(tmp_path, encoder, sequence, head_seed=sequence)
        swap.stage(name, directory, catalogue)
        names.append(name)
    swap.activate(names[0])
    swap.keep([names[2]])
    assert swap.warm == (names[0], names[2])


def test_no_reader_sees_a_mixture_while_another_thread_stages_and_flips(
    swap: WarmGenerations[FakeModel], encoder: TextEncoder, catalogue: Catalogue, tmp_path: Path
) -> None:
    made = [generation(tmp_path, encoder, n, adapter_seed=n, head_seed=n) for n in range(3)]
    swap.stage(*made[0], catalogue)
    swap.activate(made[0][0])
    bias = {name: float(head(n)["skip.weight"][0, 0]) for n, (name, _) in enumerate(made)}
    done = threading.Event()

    def release() -> None:
        for _ in range(3):
            for name, directory in made:
                swap.stage(name, directory, catalogue)
                swap.activate(name)
                swap.keep([])
        done.set()

    thread = threading.Thread(target=release)
    thread.start()
    seen = set()
    while not done.is_set():
        model = swap.active
        assert model is not None
        assert model.bias == bias[model.generation]
        assert len(model.index) == len(catalogue)
        seen.add(model.generation)
    thread.join()
    assert swap.active is not None
    assert swap.active.generation == made[2][0]
    assert len(seen) > 1


def test_before_the_first_generation_the_frozen_layers_run_ahead(
    swap: WarmGenerations[FakeModel], encoder: TextEncoder, catalogue: Catalogue, tmp_path: Path
) -> None:
    name, directory = generation(tmp_path, encoder, 1)
    unprepared = tiny_encoder()
    plain = encoded_generations(unprepared, expectations(unprepared, "features-1", HEAD), make)
    plain.stage(name, directory, catalogue)
    assert swap.ensure(catalogue) == 0
    assert encoder.cached_texts == len(catalogue)
    swap.stage(name, directory, catalogue)
    ahead, cold = swap.model(name), plain.model(name)
    assert ahead is not None
    assert cold is not None
    assert torch.equal(ahead.index.vectors, cold.index.vectors), "to the last bit"


def test_running_ahead_ends_when_the_memory_for_it_is_full(catalogue: Catalogue) -> None:
    catalogue.put([Item(f"more{n}", f"film number {n}, again") for n in range(500)])
    small = tiny_encoder(cache_mb=0)
    encoded_generations(small, expectations(small, "features-1", HEAD), make).ensure(catalogue)
    assert small.cached_texts == 0
