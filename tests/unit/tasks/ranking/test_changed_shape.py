"""Settings that shape the weights are changed: what was made before is served and gone on with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from streamrec.apps.model import Model, load_model
from streamrec.core.events import Item
from streamrec.core.release.manifest import Manifest
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.statistics import Statistics
from streamrec.core.state.user_state import UserState
from streamrec.errors import GenerationRefused
from streamrec.models.generation import read_manifest
from streamrec.models.loading import load_encoder
from streamrec.ports import Provenance
from streamrec.settings import Adapter, EncoderSettings, Pooling, Settings
from streamrec.tasks.ranking.features import FEATURES, FeatureMaker
from streamrec.tasks.ranking.model.head import INPUTS, Head, inputs_then, widened
from streamrec.tasks.ranking.model.served import hot_swap
from streamrec.tasks.ranking.statistics.registry import digest
from tests.fakes.language_models import save_tiny_model
from tests.harness.training_worker import ITEMS, example

BORN = Provenance(3, "g000002-00000000", {0: (0, 64)}, {}, (0, 4), 64, None, 1)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two language models that have nothing in common."""
    root = tmp_path_factory.mktemp("models")
    return [save_tiny_model(family, root / family) for family in ("bert", "gpt2")]


@pytest.fixture(scope="module")
def then(models: list[Path]) -> Settings:
    encoder = EncoderSettings(
        model=str(models[0]), device="cpu", dtype="float32", threads=1, rank=4
    )
    return Settings(encoder=encoder)


def trained(settings: Settings) -> Model:
    model = load_model(settings)
    model.learner.add_items(ITEMS)
    model.learner.learn([example(0, offset) for offset in range(64)])
    return model


def sealed(model: Model, directory: Path) -> str:
    directory.mkdir()
    model.learner.write_generation(model.learner.snapshot(), directory)
    return model.generations().seal(directory, BORN).generation


CHANGES: dict[str, Callable[[EncoderSettings, list[Path]], EncoderSettings]] = {
    "RANK": lambda now, _: replace(now, rank=2),
    "LAYERS": lambda now, _: replace(now, layers=1),
    "ALPHA": lambda now, _: replace(now, alpha=3.0),
    "MAX_TOKENS": lambda now, _: replace(now, max_tokens=8),
    "PROMPT": lambda now, _: replace(now, prompt="word1 "),
    "POOLING": lambda now, _: replace(now, pooling=Pooling.CLS),
    "ADAPTER": lambda now, _: replace(now, adapter=Adapter.DORA),
    "MODEL": lambda now, models: replace(now, model=str(models[1])),
}


@pytest.fixture(params=CHANGES)
def changed(request, then: Settings, models: list[Path]) -> tuple[str, Settings]:
    return request.param, replace(then, encoder=CHANGES[request.param](then.encoder, models))


def ranked(settings: Settings, generation: str, directory: Path) -> np.ndarray:
    """What a serving worker with these settings says."""
    catalogue = Catalogue()
    catalogue.put(ITEMS)
    swap = hot_swap(load_encoder(settings.encoder), catalogue, settings=settings.encoder)
    swap.stage(generation, directory, catalogue)
    swap.activate(generation)
    features = FeatureMaker(Statistics(catalogue), catalogue)
    user = UserState(history=("item1", "item5"))
    assert swap.active is not None
    return swap.active.rank([user], [1], features)


def test_the_old_champion_answers_as_before_and_is_what_candidates_must_beat(
    then: Settings, changed: tuple[str, Settings], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name, now = changed
    old = trained(then)
    generation = sealed(old, tmp_path / "old")
    before = ranked(then, generation, tmp_path / "old")
    assert name not in caplog.text
    np.testing.assert_array_equal(ranked(now, generation, tmp_path / "old"), before)
    assert f"STREAMREC_ENCODER_{name}" in caplog.text
    new = trained(now)
    fresh = [example(1, offset) for offset in range(5)]
    scored = new.generations().scorer(tmp_path / "old").score(fresh)
    expected = old.learner.snapshot().score(fresh)
    np.testing.assert_allclose(np.stack(scored), np.stack(expected), atol=1e-6)
    sealed(new, tmp_path / "new")
    assert new.generations().norms(tmp_path / "new", tmp_path / "old") == {}


def test_a_checkpoint_of_another_shape_gives_what_fits(
    then: Settings, changed: tuple[str, Settings], tmp_path: Path
) -> None:
    _, now = changed
    old = trained(then)
    old.learner.save(tmp_path)
    new = load_model(now)
    new.learner.add_items(ITEMS)
    assert new.new_start.shape != old.new_start.shape
    assert new.learner.carry_over(tmp_path) == []
    assert len(new.learner.memory) == len(old.learner.memory) == 64
    ours, theirs = new.learner.head_trainer, old.learner.head_trainer
    assert ours.steps == theirs.steps
    assert torch.equal(ours.averaged.linear_D, theirs.averaged.linear_D)
    new.learner.learn([example(0, offset) for offset in range(64, 128)])
    assert new.learner.head_trainer.steps > theirs.steps


def test_weights_that_are_not_to_be_had_any_more_are_named(
    then: Settings, models: list[Path], tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    shutil.copytree(models[0], gone)
    generation = sealed(
        trained(replace(then, encoder=replace(then.encoder, model=str(gone)))), tmp_path / "old"
    )
    now = replace(then, encoder=replace(then.encoder, model=str(models[1])))
    shutil.rmtree(gone)
    with pytest.raises(GenerationRefused, match=f"STREAMREC_ENCODER_MODEL .*{gone}"):
        ranked(now, generation, tmp_path / "old")
    shutil.copytree(models[1], gone)
    with pytest.raises(GenerationRefused, match="has other weights now"):
        ranked(now, generation, tmp_path / "old")


@pytest.mark.parametrize("recorded", [True, False])
def test_a_head_from_before_a_statistic_was_added_gives_the_same_scores(recorded: bool) -> None:
    """``recorded``: its inputs are in the manifest; version 0.1 wrote only their digest."""
    added = FEATURES[5:8]
    names = tuple(name for name in INPUTS if name not in added)
    statistics = [name for name in names if name in FEATURES]
    training = {"inputs": list(names)} if recorded else {}
    manifest = Manifest("g1", None, "v", "m", "d", digest(statistics), 1, training=training)
    assert inputs_then(manifest) == names
    whole = Head(torch.Generator().manual_seed(1))
    whole.outer_M.data.normal_()
    kept = [INPUTS.index(name) for name in names]
    narrow = {
        name: tensor[kept] if tensor.shape[:1] == (len(INPUTS),) else tensor
        for name, tensor in whole.state_dict().items()
    }
    for tensor in (whole.linear_D, whole.inner_DM):
        tensor.data[[INPUTS.index(name) for name in added]] = 0
    now = Head()
    now.load_state_dict(widened(narrow, names))
    x = torch.randn(7, len(INPUTS))
    assert torch.equal(now(x), whole(x))


def test_a_head_that_reads_what_is_not_computed_any_more_names_it() -> None:
    with pytest.raises(GenerationRefused, match="reads soup_of_the_day"):
        widened(Head().state_dict(), (*INPUTS[:-1], "soup_of_the_day"))


def test_a_checkpoint_of_fewer_inputs_is_gone_on_with(then: Settings, tmp_path: Path) -> None:
    old = trained(then)
    old.learner.save(tmp_path)
    names = INPUTS[:3] + INPUTS[5:]
    kept = [INPUTS.index(name) for name in names]
    state = load_file(tmp_path / "learner.safetensors")
    for name, tensor in state.items():
        if name.endswith(("linear_D", "inner_DM", "mean_D", "deviation_D")):
            state[name] = tensor[kept].contiguous()
        if name in ("memory.inputs", "waiting.inputs"):
            state[name] = tensor[..., kept].contiguous()
    save_file(state, tmp_path / "learner.safetensors")
    header = json.loads((tmp_path / "learner.json").read_text()) | {"inputs": list(names)}
    (tmp_path / "learner.json").write_text(json.dumps(header))
    new = load_model(then)
    with pytest.raises(GenerationRefused, match="inputs"):
        new.learner.load(tmp_path)
    new.learner.carry_over(tmp_path)
    averaged = new.learner.head_trainer.averaged
    assert torch.equal(averaged.linear_D[kept], old.learner.head_trainer.averaged.linear_D[kept])
    assert averaged.linear_D[3:5].tolist() == [0.0, 0.0]
    new.learner.learn([example(0, offset) for offset in range(64, 128)])


def test_the_weights_of_a_champion_are_where_learning_goes_on(
    then: Settings, changed: tuple[str, Settings], tmp_path: Path
) -> None:
    _, now = changed
    old = trained(then)
    sealed(old, tmp_path / "old")
    same, other = load_model(then), load_model(now)
    for model in (same, other):
        model.learner.add_items([*ITEMS, Item("later", "word3")])
        model.begin_from(tmp_path / "old")
        head = model.learner.head_trainer.averaged
        assert torch.equal(head.linear_D, old.learner.head_trainer.averaged.linear_D)
    assert same.learner.encoder is not None
    assert read_manifest(tmp_path / "old").encoder_version == same.learner.encoder.encoder_version
