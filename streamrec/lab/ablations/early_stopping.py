"""Early stopping in a stream: fresh examples are the validation set, until they are learned.

Knows two heads and their losses over a window. Does not know how either was trained.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from streamrec.models.state_dicts import named, under
from streamrec.tasks.ranking.model.head import Head
from streamrec.tasks.ranking.model.losses import listwise
from streamrec.tasks.ranking.model.replay_buffer import ReplayBatch


class EarlyStopping:
    """Whether what is served now beats what was served a while ago, on examples new to both.

    Knows the champion of the window and two running losses. Online there is no validation
    set: fresh examples are one, until they are learned.
    """

    def __init__(self, window: int, head: Head) -> None:
        self._window = window
        self.champion = copy.deepcopy(head).requires_grad_(False)
        self._losses = [0.0, 0.0]  # the champion's, the candidate's
        self._steps = 0

    @torch.no_grad()
    def failed(self, candidate: Head, fresh: ReplayBatch) -> bool:
        """Count one batch of fresh examples; True when a window ends with the champion ahead."""
        fresh = fresh.as_float()
        for side, head in enumerate((self.champion, candidate)):
            self._losses[side] += float(listwise(head(fresh.inputs), fresh))
        self._steps += 1
        if self._steps < self._window:
            return False
        failed = self._losses[1] > self._losses[0]
        if not failed:
            self.champion = copy.deepcopy(candidate).requires_grad_(False)
        self._losses, self._steps = [0.0, 0.0], 0
        return failed

    def state(self) -> dict[str, Tensor]:
        """Everything a resume needs; nothing when no window is judged."""
        if not self._window:
            return {}
        weights = named("champion", self.champion.state_dict())
        window = torch.tensor([*self._losses, self._steps], dtype=torch.float64)
        return weights | {"window": window}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """A state without a window (it was not judged then) starts one here."""
        if not self._window or "window" not in state:
            return
        self.champion.load_state_dict(under("champion", state))
        ours, theirs, steps = state["window"].tolist()
        self._losses, self._steps = [ours, theirs], int(steps)
