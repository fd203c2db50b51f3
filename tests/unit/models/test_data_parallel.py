"""Two processes learn what one does: gloo on this machine's processors, as torchrun starts them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from streamrec.models.distributed import Alone, joined_group
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
def test_two_processes_learn_what_one_does(case: str, together: Path) -> None:
    alone = torch.stack(learned(case))
    first, second = (torch.load(together / f"{case}-{rank}.pt") for rank in range(2))
    assert len(first) == STEPS
    torch.testing.assert_close(first, alone, atol=1e-5, rtol=0)
    moved = (alone[-1] - alone[0]).abs().max()
    assert moved > 1e-4, "something was learned"
    assert not torch.equal(first, alone), "the sums were taken in another order: two did compute"
    # the follower keeps what came with the last order: rank 0's weights before the last step
    assert torch.equal(second[0], first[-2])


def test_a_process_that_torchrun_did_not_start_is_alone() -> None:
    assert isinstance(joined_group(), Alone)
