"""Forgetting a user's examples: none of theirs is replayed, and nothing else changes."""

from __future__ import annotations

import pytest
import torch

from streamrec.core.examples import user_hash
from streamrec.tasks.ranking.model.replay_buffer import ReplayBatch, ReplayMemory, empty

ANN, BOB = user_hash("ann"), user_hash("bob")
RECENT, RESERVOIR = 4, 4


def examples(*users: int) -> ReplayBatch:
    made = empty(len(users), 2, 3)
    made.user[:] = torch.tensor(users)
    made.inputs[:] = torch.arange(len(users)).view(-1, 1, 1) + 1
    return made


def filled(*users: int, seed: int = 0) -> ReplayMemory:
    memory = ReplayMemory(RECENT, RESERVOIR, 2, 3)
    memory.add(examples(*users), torch.Generator().manual_seed(seed))
    return memory


def users(memory: ReplayMemory) -> list[int]:
    return memory.stored.user[memory.held()].tolist()


@pytest.mark.parametrize(
    "whose", [(ANN, BOB), (BOB, ANN), (ANN, ANN, BOB, ANN, BOB), (BOB, ANN) * 8]
)
def test_none_of_the_user_s_stays(whose: tuple[int, ...]) -> None:
    memory = filled(*whose)
    count, mine = len(memory), users(memory).count(ANN)
    assert memory.forget(ANN) == mine > 0
    assert users(memory) == [BOB] * count
    assert len(memory) == count
    assert memory.forget(ANN) == 0


def test_who_was_alone_leaves_it_empty() -> None:
    memory = filled(ANN, ANN)
    assert memory.forget(ANN) == 2
    assert len(memory) == 0
    assert not memory.stored.inputs.any()
    memory.add(examples(BOB), torch.Generator().manual_seed(0))
    assert users(memory) == [BOB]


def test_a_stranger_changes_nothing() -> None:
    memory, same = filled(ANN, BOB, ANN), filled(ANN, BOB, ANN)
    assert memory.forget(user_hash("eve")) == 0
    assert torch.equal(memory.stored.inputs, same.stored.inputs)


def test_draws_before_and_after_are_the_same_each_time() -> None:
    drawn = []
    for _ in range(2):
        memory = filled(*(ANN, BOB, BOB) * 4, seed=3)
        memory.forget(ANN)
        drawn.append(memory.draw(6, torch.Generator().manual_seed(1)).inputs)
    assert torch.equal(*drawn)


def test_whose_it_is_survives_a_checkpoint() -> None:
    memory, later = filled(*(ANN, BOB) * 5), ReplayMemory(RECENT, RESERVOIR, 2, 3)
    later.load_state(memory.state())
    assert users(later) == users(memory)


@pytest.mark.parametrize("together", [2, 3, 11])
def test_many_at_once_are_kept_as_one_after_the_other(together: int) -> None:
    all_of_them = examples(*[ANN, BOB, BOB] * 11)
    one_by_one, at_once = (ReplayMemory(RECENT, RESERVOIR, 2, 3) for _ in range(2))
    for memory, size in ((one_by_one, 1), (at_once, together)):
        generator = torch.Generator().manual_seed(7)
        for start in range(0, len(all_of_them), size):
            memory.add(all_of_them[start : start + size], generator)
    assert torch.equal(one_by_one.stored.inputs, at_once.stored.inputs)
    assert users(one_by_one) == users(at_once)
