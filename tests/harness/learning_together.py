"""What each process of a group does in ``test_data_parallel``; started by torchrun.

Rank 0 learns, the others take its steps; each leaves its weights in the directory it was given.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from streamrec.lab.recipes.sgd import sgd
from streamrec.models.data_parallel import Ranks, joined_ranks
from streamrec.models.encoder import TextEncoder
from streamrec.models.item_index import ItemIndex
from streamrec.settings import Adapter
from streamrec.tasks.ranking.model.adapter_trainer import AdapterConfig, follow
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner
from tests.fakes.language_models import tiny_encoder
from tests.unit.tasks.ranking.test_learner import Loop

STEPS = 4
SGD = {"make_optimiser": sgd, "learning_rate": 0.05}
CASES = {
    "lora": (Adapter.LORA, AdapterConfig(warmup_steps=1, publish_steps=3)),
    "chunks": (Adapter.LORA, AdapterConfig(warmup_steps=1, chunks=2, **SGD)),
    "full": (Adapter.FULL, AdapterConfig(warmup_steps=1, **SGD)),
    "full in chunks": (Adapter.FULL, AdapterConfig(warmup_steps=1, chunks=3, **SGD)),
}
RESUMED = "lora"
"""Of this case the learner is loaded from its own checkpoint before the last step."""


def encoder_of(case: str) -> TextEncoder:
    return tiny_encoder(adapter=CASES[case][0])


def weights(encoder: TextEncoder) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in encoder.trainable_parameters()])


def learned(case: str, directory: Path, ranks: Ranks | None = None) -> list[torch.Tensor]:
    """The weights after each step."""
    loop, encoder = Loop(events=32 * STEPS + 40), encoder_of(case)
    index = ItemIndex(encoder)
    index.ensure(loop.catalogue)
    config = LearnerConfig(adapter=CASES[case][1])
    learner = OnlineLearner(loop.catalogue, index, 0, config, encoder, ranks=ranks)
    after = []
    for step in range(STEPS):
        if case == RESUMED and step == STEPS - 1:
            directory.mkdir(exist_ok=True)
            learner.save(directory)
            learner.load(directory)
        learner.learn(loop.examples[32 * step : 32 * (step + 1)])
        assert learner.rollout is not None
        after.append(weights(learner.rollout.adapter_trainer.encoder))
    learner.close()
    return after


def take_part(ranks: Ranks, directory: Path) -> None:
    for case, (_, config) in CASES.items():
        if ranks.rank == 0:
            found = learned(case, directory / "checkpoint", ranks)
            ranks.shutdown()
        else:
            found = [weights(follow(encoder_of(case), config, ranks))]
        torch.save(torch.stack(found), directory / f"{case}-{ranks.rank}.pt")


if __name__ == "__main__":
    joined = joined_ranks()
    take_part(joined, Path(sys.argv[1]))
    joined.close()
