"""One contract for the hot swap: the fake, and the real one over a tiny encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamrec.core.events import Item
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.statistics import Statistics
from streamrec.core.state.user_state import UserState
from streamrec.errors import GenerationRefused
from streamrec.models.encoder import TextEncoder
from streamrec.ports import HotSwap
from streamrec.tasks.ranking.features import FeatureMaker
from streamrec.tasks.ranking.model.served import hot_swap
from tests.fakes.language_models import stir, tiny_encoder
from tests.fakes.serving import FakeHotSwap
from tests.harness.generations import new_generation


class World:
    def __init__(self, kind: str, scratch: Path) -> None:
        self.scratch = scratch
        self.catalogue = Catalogue()
        self.catalogue.put(Item(f"i{n}", f"word{n} word{n + 1}") for n in range(12))
        self.encoder: TextEncoder = tiny_encoder()
        self.fake = FakeHotSwap(self.catalogue) if kind == "fake" else None
        self.swap: HotSwap = self.fake or hot_swap(self.encoder, self.catalogue)
        self._made = 0

    def finished(self, **how) -> tuple[str, Path]:
        self._made += 1
        directory = self.scratch / f"made-{self._made}"
        return new_generation(directory, self.encoder, self._made, **how), directory

    def damaged(self) -> tuple[str, Path]:
        generation, directory = self.finished()
        (directory / "head.safetensors").write_bytes(b"nothing")
        if self.fake:
            self.fake.refuses[generation] = "not the file"
        return generation, directory

    def stage(self, **how) -> str:
        generation, directory = self.finished(**how)
        self.swap.stage(generation, directory, self.catalogue)
        return generation

    def features(self) -> FeatureMaker:
        return FeatureMaker(Statistics(self.catalogue), self.catalogue)


@pytest.fixture(params=["fake", "real"])
def world(request, tmp_path) -> World:
    return World(request.param, tmp_path)


def test_nothing_answers_at_first(world) -> None:
    assert world.swap.active is None
    assert world.swap.ensure(world.catalogue) == 0


def test_staging_makes_warm_and_activating_makes_active(world) -> None:
    first, second = world.stage(), world.stage()
    assert world.swap.is_warm(first)
    assert world.swap.active is None
    world.swap.activate(first)
    world.swap.activate(second)
    assert world.swap.active.generation == second
    world.swap.activate(first)
    assert world.swap.active.generation == first


def test_what_is_not_warm_cannot_be_activated(world) -> None:
    first = world.stage()
    world.swap.activate(first)
    with pytest.raises(GenerationRefused):
        world.swap.activate("g000099-00000000")
    assert world.swap.active.generation == first


def test_a_damaged_generation_changes_nothing(world) -> None:
    first = world.stage()
    world.swap.activate(first)
    generation, directory = world.damaged()
    with pytest.raises(GenerationRefused):
        world.swap.stage(generation, directory, world.catalogue)
    assert not world.swap.is_warm(generation)
    assert world.swap.active.generation == first


def test_only_what_is_named_and_what_answers_is_kept(world) -> None:
    first, second, third = world.stage(), world.stage(), world.stage()
    world.swap.activate(first)
    world.swap.keep([third])
    assert [world.swap.is_warm(name) for name in (first, second, third)] == [True, False, True]


def test_a_model_ranks_every_catalogue_row(world) -> None:
    world.stage()
    world.swap.activate(world.stage(adapter=stir(world.encoder)))
    users = [UserState(), UserState(history=("i3", "unknown"), history_ms=(1, 2))]
    scores_BN = world.swap.active.rank(users, [5, 5], world.features())
    assert scores_BN.shape == (2, 12)
    chances = world.swap.active.probability(scores_BN[0, :4])
    assert chances.shape == (4,)
    assert ((chances > 0) & (chances < 1)).all()
    ranking = world.swap.active.ranking(users, [5, 5], world.features())
    added = world.swap.active.asked_for(ranking, [1, 0], ["word3 word4", "word5"])
    assert added.shape == (2, 12)
    assert np.isfinite(added).all()


def test_a_new_item_has_a_score_before_and_after_it_is_encoded(world) -> None:
    world.swap.activate(world.stage())
    world.catalogue.put([Item("late", "word20")])
    before = world.swap.active.rank([UserState()], [5], world.features())
    assert before.shape == (1, 13)
    ranking = world.swap.active.ranking([UserState()], [5], world.features())
    assert world.swap.active.asked_for(ranking, [0], ["word20"]).shape == (1, 13)
    world.swap.ensure(world.catalogue)
    after = world.swap.active.rank([UserState()], [5], world.features())
    assert np.isfinite(after).all()
