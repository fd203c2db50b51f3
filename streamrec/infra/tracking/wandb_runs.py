"""A run for each generation in Weights & Biases. Needs the extra ``wandb``.

Where runs go, wandb reads itself: ``WANDB_MODE=offline`` writes files that ``wandb sync`` sends
later, ``WANDB_PROJECT``, ``WANDB_DIR``, ``WANDB_API_KEY``. A run's id is the generation's name, so
that a trainer that is started again goes on with the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import wandb

from streamrec.infra.tracking.run_record import OUTCOME, PROJECT, numbers, parameters, tags
from streamrec.ports import Sealed, Tracker


class WandbRuns(Tracker):
    """One run is open at a time, and not for long."""

    def __init__(self) -> None:
        self._project = wandb.setup().settings.project or PROJECT
        self._latest: dict[str, float] = {}

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Where the curves stand when a generation is judged is part of its run."""
        del step
        self._latest |= values

    def made(self, sealed: Sealed, trained: int) -> None:
        manifest = sealed.manifest
        with self._run(manifest.generation, manifest.parent, parameters(manifest)) as run:
            run.log(numbers(manifest, self._latest), step=trained)
            run.summary.update(tags(sealed))

    def settled(self, generation: str, outcome: str) -> None:
        with self._run(generation) as run:
            run.summary.update({OUTCOME: outcome})

    def close(self) -> None:
        wandb.teardown()

    def _run(self, generation: str, parent: str | None = None, config: Any = None) -> Any:
        """``parent``: the generation it was trained from; its runs are a group."""
        quiet = wandb.Settings(
            silent=True, console="off", x_disable_stats=True, save_code=False, disable_git=True
        )
        return wandb.init(
            project=self._project,
            id=generation,
            name=generation,
            group=parent,
            config=config,
            resume="allow",
            reinit="create_new",
            settings=quiet,
        )
