"""Weights become a generation that says where it came from, and generations become scorers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from streamrec.core.events import Item
from streamrec.core.state.catalogue import Catalogue, item_record
from streamrec.errors import GenerationRefused
from streamrec.models.generation import HEAD_FILE, read_manifest, write_weights
from streamrec.models.item_index import ItemIndex
from streamrec.ports import Provenance
from streamrec.tasks.ranking.model.generations import ModelGenerations
from streamrec.tasks.ranking.model.head import INPUTS, Head
from streamrec.tasks.ranking.model.learner import OnlineLearner
from streamrec.tasks.ranking.model.ranker import Ranker
from tests.fakes.language_models import tiny_encoder
from tests.harness.training_worker import ITEMS, example

PROVENANCE = Provenance(
    sequence=7,
    parent="g000006-00000000",
    offsets={0: (3, 9), 1: (4, 4)},
    holes={0: [(5, 6)]},
    training_batches=(10, 20),
    examples=6,
    gate={"accepted": True},
    created_at_ms=1_767_000_000_000,
)
EXAMPLES = [example(0, offset) for offset in range(10)]


def catalogue_of(*items: Item) -> Catalogue:
    catalogue = Catalogue()
    catalogue.apply_rows({item.item_id: item_record(item) for item in items})
    return catalogue


class Workshop:
    """An encoder, a catalogue, and weights written on demand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.encoder = tiny_encoder("bert")
        self.catalogue = catalogue_of(*ITEMS)
        self.index = ItemIndex(self.encoder)
        self.index.ensure(self.catalogue)
        self.generations = ModelGenerations(
            self.encoder, self.catalogue, {"encoder": {"rank": 8}}, lambda: [self.index]
        )

    def weights(self, name: str, head: Head) -> Path:
        directory = self.root / name
        directory.mkdir()
        write_weights(directory, self.encoder, head.state_dict(), self.index.centre)
        return directory


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def head(seed: int) -> Head:
    made = Head(torch.Generator().manual_seed(seed))
    torch.nn.init.normal_(made.outer_M, generator=torch.Generator().manual_seed(seed))
    return made


def test_the_manifest_says_where_it_came_from(shop: Workshop) -> None:
    directory = shop.weights("one", head(1))
    sealed = shop.generations.seal(directory, PROVENANCE)
    manifest = read_manifest(directory)
    assert manifest.generation == sealed.generation
    assert sealed.generation.startswith("g000007-")
    assert manifest.parent == "g000006-00000000"
    assert manifest.offsets == {"0": (3, 9), "1": (4, 4)}
    assert manifest.trained_through == {"0": 9, "1": 4}
    made_with = manifest.training["made_with"]
    assert manifest.training == {
        "batches": [10, 20], "examples": 6, "holes": {"0": [[5, 6]]}, "quarantine": [],
        "epoch": 0, "made_with": made_with, "inputs": list(INPUTS), "ledger": {}, "restarts": [],
    }  # fmt: skip
    assert made_with["threads"] == str(torch.get_num_threads())
    assert torch.__version__.startswith(made_with["torch"])
    assert manifest.encoder_version == shop.encoder.encoder_version
    assert manifest.settings == {"encoder": {"rank": 8}}
    assert len(sealed.digest) == 64


def test_a_loaded_generation_scores_like_the_weights_it_was_made_of(shop: Workshop) -> None:
    made = head(2)
    directory = shop.weights("one", made)
    shop.generations.seal(directory, PROVENANCE)
    loaded = shop.generations.scorer(directory).score(EXAMPLES)
    ranker = Ranker(made, shop.index.dots, shop.catalogue)
    for ours, theirs in zip(loaded, ranker.score(EXAMPLES), strict=True):
        assert ours.shape == (8,)
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_scorer_sees_items_that_came_later(shop: Workshop) -> None:
    directory = shop.weights("one", head(3))
    shop.generations.seal(directory, PROVENANCE)
    scorer = shop.generations.scorer(directory)
    late = Item("late", "word3 word4")
    wanted = replace(
        EXAMPLES[3], candidates=("late", *EXAMPLES[3].candidates[1:]), history=("item3", "item4")
    )
    unknown = scorer.score([wanted])[0]
    shop.catalogue.apply_rows({"late": item_record(late)})
    known = scorer.score([wanted])[0]
    assert known[0] != unknown[0]
    np.testing.assert_allclose(known[1:], unknown[1:], atol=1e-6)


def test_a_snapshot_sees_items_that_came_later_too(shop: Workshop) -> None:
    learner = OnlineLearner(shop.catalogue, shop.index, seed=0, encoder=shop.encoder)
    snapshot = learner.snapshot()
    wanted = replace(
        EXAMPLES[3], candidates=("late", *EXAMPLES[3].candidates[1:]), history=("item3", "item4")
    )
    unknown = snapshot.score([wanted])[0]
    shop.catalogue.apply_rows({"late": item_record(Item("late", "word3 word4"))})
    known = snapshot.score([wanted])[0]
    assert known[0] != unknown[0]
    np.testing.assert_allclose(known[1:], unknown[1:], atol=1e-6)


def test_a_tampered_generation_is_refused(shop: Workshop) -> None:
    directory = shop.weights("one", head(4))
    shop.generations.seal(directory, PROVENANCE)
    file = directory / HEAD_FILE
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    with pytest.raises(GenerationRefused, match="head"):
        shop.generations.scorer(directory)


def test_norms_say_how_far_weights_moved(shop: Workshop) -> None:
    one, exploded = head(5), head(5)
    with torch.no_grad():
        exploded.inner_DM.mul_(1e4)
        exploded.mean_D.fill_(1e9)  # follows the data: not counted
    champion = shop.weights("champion", one)
    shop.generations.seal(champion, PROVENANCE)
    same = shop.generations.norms(shop.weights("same", one), champion)
    assert same == {"update_norm/adapter": 0.0, "update_norm/head": 0.0}
    far = shop.generations.norms(shop.weights("far", exploded), champion)
    assert 1e3 < far["update_norm/head"] < 1e5
    with torch.no_grad():
        exploded.inner_DM.fill_(float("nan"))
    broken = shop.generations.norms(shop.weights("broken", exploded), champion)
    assert not broken["update_norm/head"] <= 10
    assert shop.generations.norms(champion, None) == {}
