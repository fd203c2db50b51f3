"""What each process of a group does in ``test_followers``; started by torchrun.

Rank 0 learns, the others follow; each leaves its weights in the directory it was given.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from streamrec.models.data_parallel import Followers, follow
from streamrec.models.distributed import Group, joined_group
from streamrec.models.encoder import TextEncoder
from streamrec.models.item_index import ItemIndex
from streamrec.settings import Adapter, Optimiser
from streamrec.tasks.ranking.model.adapter_trainer import AdapterRecipe
from streamrec.tasks.ranking.model.learner import OnlineLearner, Recipe
from tests.fakes.language_models import tiny_encoder
from tests.unit.tasks.ranking.test_learner import Loop

STEPS = 4
SGD = {"optimiser": Optimiser.SGD, "learning_rate": 0.05}
CASES = {
    "lora": (Adapter.LORA, AdapterRecipe(warmup_steps=1, publish_steps=3)),
    "pieces": (Adapter.LORA, AdapterRecipe(warmup_steps=1, pieces=2, **SGD)),
    "fgm": (Adapter.LORA, AdapterRecipe(warmup_steps=1, fgm=0.05, **SGD)),
    "full": (Adapter.FULL, AdapterRecipe(warmup_steps=1, fgm=0.05, **SGD)),
}


def encoder_of(case: str) -> TextEncoder:
    return tiny_encoder(adapter=CASES[case][0])


def weights(encoder: TextEncoder) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in encoder.trainable_parameters()])


def learned(case: str, followers: Followers | None = None) -> list[torch.Tensor]:
    """The weights after each step."""
    loop, encoder = Loop(events=32 * STEPS + 40), encoder_of(case)
    index = ItemIndex(encoder)
    index.ensure(loop.catalogue)
    recipe = Recipe(slow=CASES[case][1])
    learner = OnlineLearner(loop.catalogue, index, 0, recipe, encoder, followers=followers)
    after = []
    for step in range(STEPS):
        learner.learn(loop.examples[32 * step : 32 * (step + 1)])
        assert learner._rollout is not None
        after.append(weights(learner._rollout.lane._encoder))
    return after


def take_part(group: Group, directory: Path) -> None:
    for case in CASES:
        if group.rank == 0:
            followers = Followers(group)
            found = learned(case, followers)
            followers.dismiss()
        else:
            encoder = encoder_of(case)
            follow(group, encoder)
            found = [weights(encoder)]
        torch.save(torch.stack(found), directory / f"{case}-{group.rank}.pt")


if __name__ == "__main__":
    joined = joined_group()
    take_part(joined, Path(sys.argv[1]))
    joined.close()
