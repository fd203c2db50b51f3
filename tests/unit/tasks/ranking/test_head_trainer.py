"""The head's rate, and its state in a checkpoint."""

from __future__ import annotations

import torch

from streamrec.tasks.ranking.model.head_trainer import HeadConfig, HeadTrainer, warmed_up
from tests.harness.head_training import BATCHES, trained


def test_the_rate_warms_up_once_and_stays() -> None:
    config = HeadConfig(learning_rate=1.0, warmup_steps=4)
    assert [warmed_up(config, step) for step in (1, 4, 24)] == [0.25, 1.0, 1.0]


def test_a_resumed_trainer_goes_on_as_if_it_had_not_stopped() -> None:
    config = HeadConfig()
    whole, first = trained(config, BATCHES[:20]), trained(config, BATCHES[:10])
    resumed = HeadTrainer(config, torch.Generator().manual_seed(5))
    resumed.load_state({name: value.clone() for name, value in first.state().items()})
    for batch in BATCHES[10:20]:
        resumed.observe(batch)
        resumed.step(batch)
    for name, value in whole.state().items():
        assert torch.equal(value, resumed.state()[name]), name
