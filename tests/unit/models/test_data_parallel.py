"""Two processes learn what one does: gloo on this machine's processors, as torchrun starts them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from streamrec.models.data_parallel import Ranks, TorchrunRanks, joined_ranks
from tests.harness.learning_together import CASES, STEPS, learned

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("together")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    part = ["--nproc-per-node", "2", "-m", "tests.harness.learning_together", str(directory)]
    done = subprocess.run(
        [*torchrun, *part],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_processes_learn_what_one_does(case: str, together: Path, tmp_path: Path) -> None:
    alone = torch.stack(learned(case, tmp_path / "checkpoint"))
    first, second = (torch.load(together / f"{case}-{rank}.pt") for rank in range(2))
    assert len(first) == STEPS
    torch.testing.assert_close(first, alone, atol=1e-5, rtol=0)
    moved = (alone[-1] - alone[0]).abs().max()
    assert moved > 1e-4, "something was learned"
    assert not torch.equal(first, alone), "the sums were taken in another order: two did compute"
    assert torch.equal(second[0], first[-1]), "every rank has the same weights"


def test_a_process_that_torchrun_did_not_start_is_alone() -> None:
    assert not isinstance(joined_ranks(), TorchrunRanks)
    assert joined_ranks().size == 1


@pytest.mark.parametrize(("texts", "size"), [(7, 2), (8, 3), (2, 4), (1, 2)])
def test_every_text_is_some_ranks_and_no_rank_is_without(texts: int, size: int) -> None:
    names = [f"text{n}" for n in range(texts)]
    shards = [list(_rank_of(rank, size).shard(names)) for rank in range(size)]
    assert all(shards)
    together = [name for shard in shards for name in shard]
    assert together[:texts] == names
    assert set(together[texts:]) <= {names[-1]}


def _rank_of(rank: int, size: int) -> Ranks:
    ranks = Ranks()
    ranks.rank, ranks.size = rank, size
    return ranks
