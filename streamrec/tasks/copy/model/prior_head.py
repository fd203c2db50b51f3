"""From a text's vector to a score, and from scores to a prior of its click rate.

Knows vectors and counts. Does not know where vectors come from (``models.encoder``) or when a
step is taken (``tasks.copy.model.learner``).

The score is the log of how much more often than others a text is clicked, beside the same picture
and on the same page. Multinomial loss over the arms of one example, with log views as offset:

    -sum_a clicks_a log softmax_a(score_a + log views_a)

Shapes: B examples, A arms (padded), T texts, D dimensions, H hidden units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from streamrec.core.variants.beta import HIGHEST, LOWEST, BetaPrior
from streamrec.tasks.copy.examples import CopyExample

CLICKS_PER_TEST = 200.0
"""Makes losses of usual size; only ratios between examples matter to the learner."""
DECAY = 0.995
"""Of the sums behind a prior's level and strength, with each example."""
STRENGTHS = 1.0, 200.0
"""Clicks that a prior may be worth, at least and at most."""
EVIDENCE = 200.0
"""Clicks at which a prior is worth the least, beside what examples say. A few say too much by luck,
and all say too much where traffic follows clicks, as a lucky wording is then shown more: played
live, 66 examples had an excess of -19, where their rates differ enough for +30."""


class Dropped(NamedTuple):
    """What dropout leaves of the last layers' inputs, scaled up; 0 where nothing."""

    kept_TD: Tensor
    kept_TH: Tensor


class PriorHead(nn.Module):
    """Two scores of a text: a line through its frozen vector, a network on its adapted one.

    Each learns by a loss of its own. Their mean ranks better than either: what a line through
    frozen vectors knows and what an adapter has learned are wrong about different texts.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.scale = math.sqrt(dim)  # a unit vector's numbers are small
        self.line = nn.Linear(dim, 1)
        self.hidden = nn.Linear(dim, hidden)
        self.out = nn.Linear(hidden, 1)
        for last in (self.line, self.out):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def both(
        self, frozen_TD: Tensor, adapted_TD: Tensor, dropped: Dropped | None = None
    ) -> tuple[Tensor, Tensor]:
        """(T,) each."""
        frozen_TD = frozen_TD * self.scale
        inner_TH = functional.gelu(self.hidden(adapted_TD * self.scale))
        if dropped is not None:
            frozen_TD, inner_TH = frozen_TD * dropped.kept_TD, inner_TH * dropped.kept_TH
        return self.line(frozen_TD).squeeze(-1), self.out(inner_TH).squeeze(-1)

    def forward(self, frozen_TD: Tensor, adapted_TD: Tensor) -> Tensor:
        """(T,): the mean of both."""
        line_T, network_T = self.both(frozen_TD, adapted_TD)
        return (line_T + network_T) / 2


def multinomial_loss(scores_T: Tensor, examples: Sequence[CopyExample]) -> Tensor:
    """Mean over examples. ``scores_T``: of all their texts, in order."""
    width = max(len(example.texts) for example in examples)
    logits_BA = scores_T.new_full((len(examples), width), -1e9)
    clicks_BA = scores_T.new_zeros(len(examples), width)
    start = 0
    for b, example in enumerate(examples):
        arms = len(example.texts)
        logits_BA[b, :arms] = scores_T[start : start + arms] + _tensor(np.log(example.views_A))
        clicks_BA[b, :arms] = _tensor(example.clicks_A)
        start += arms
    said_BA = torch.where(clicks_BA > 0, functional.log_softmax(logits_BA, dim=-1), 0.0)
    return -(clicks_BA * said_BA).sum(dim=1).mean() / CLICKS_PER_TEST


def mean_nats(scores_A: NDArray[np.floating[Any]], example: CopyExample) -> float:
    """Loss of one example for each of its clicks; 0 where there are none."""
    clicks = float(example.clicks_A.sum())
    if not clicks:
        return 0.0
    logits_A = np.asarray(scores_A, np.float64) + np.log(example.views_A.astype(np.float64))
    log_total = float(np.logaddexp.reduce(logits_A))
    return float(example.clicks_A @ (log_total - logits_A)) / clicks


@dataclass(slots=True)
class ClickLevel:
    """What turns scores into priors: decayed sums over examples, as scored before being learned.

    ClickLevel: clicks / views. Strength: what the scores leave unexplained within examples, by the
    method of moments: sum_a (c_a - e_a)^2 / e_a exceeds A - 1 by cv^2 e (1 - sum_a (e_a / e)^2),
    with cv the coefficient of variation of true rates around predicted ones, and e the sum of e_a:
    where traffic went to one arm, little can be seen of the others. 1 / cv^2 clicks, with
    ``EVIDENCE`` of the least beside it.
    """

    views: float = 0.0
    clicks: float = 0.0
    scores: float = 0.0
    weight: float = 0.0
    excess: float = 0.0
    reach: float = 0.0

    def observe(self, example: CopyExample, scores_A: NDArray[np.floating[Any]]) -> None:
        """Take in an example that the scores have not been learned from."""
        views_A, clicks_A = example.views_A.astype(float), example.clicks_A.astype(float)
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) * DECAY)
        self.views += views_A.sum()
        self.clicks += clicks_A.sum()
        self.scores += float(np.mean(scores_A))
        self.weight += 1.0
        arms = len(views_A)
        if arms < 2 or not clicks_A.sum():
            return
        odds_A = views_A * np.exp(np.asarray(scores_A, float) - np.max(scores_A))
        expected_A = np.maximum(clicks_A.sum() * odds_A / odds_A.sum(), 1e-3)
        self.excess += float(((clicks_A - expected_A) ** 2 / expected_A).sum()) - (arms - 1)
        shares_A = expected_A / expected_A.sum()
        self.reach += float(expected_A.sum()) * (1.0 - float((shares_A**2).sum()))

    def prior(self, score: float) -> BetaPrior:
        """Of a text with this score."""
        if not self.weight or not self.views:
            return BetaPrior()
        rate = (self.clicks + 1.0) / (self.views + 2.0)
        lift = math.exp(min(5.0, max(-5.0, score - self.scores / self.weight)))
        mean = min(HIGHEST, max(LOWEST, rate * lift))
        return BetaPrior(mean, self.worth / mean)

    @property
    def worth(self) -> float:
        """Clicks that a prior is worth."""
        least, most = STRENGTHS
        reach, excess = self.reach + EVIDENCE, max(0.0, self.excess) + EVIDENCE / least
        return min(most, max(least, reach / excess))


def _tensor(values: NDArray[np.floating[Any]]) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))
