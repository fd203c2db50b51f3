"""The head: one score from similarities and statistics, and a probability from the score.

Knows how inputs are standardised, scored and calibrated. Does not know how inputs are made
(``tasks.ranking.model.ranker``) or how weights are learned (``tasks.ranking.model.learner``).

score = linear(x) + MLP(x), x the standardised inputs. The MLP's output weights start at
zero and the linear part at ``PRIOR``, so untrained the head is frozen similarity plus live
statistics. P(accept) = σ(scale × score + shift), a Platt layer (Platt 1999) by kind of
example, fitted on the detached score: it never changes an order.

A head of fewer inputs, from before a statistic was added, is the same function here: inputs that
it never read weigh nothing (``widened``).

What was asked for in words adds to the score: ``QueryPart``. Where nothing was, it is not there.

Legend: D inputs (statistics, then similarities), Q inputs of a query, M hidden units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from streamrec.core.release.manifest import Manifest
from streamrec.errors import GenerationRefused
from streamrec.tasks.ranking import inputs
from streamrec.tasks.ranking.examples import ExampleKind
from streamrec.tasks.ranking.features import FEATURES
from streamrec.tasks.ranking.model.query_inputs import QUERY_INPUTS
from streamrec.tasks.ranking.statistics.registry import digest as feature_digest

INPUTS = tuple(column.name for column in inputs.INPUTS)
HIDDEN = 64
KINDS = (ExampleKind.IMPRESSION, ExampleKind.NEXT_CLICK, ExampleKind.VIEW)

PRIOR = {
    "accepts_5000ev": 0.5,
    "accepts_24h": 0.3,
    "rate_5000ev": 0.3,
    "sim_decayed": 0.3,
    "sim_attention": 0.3,
}
"""Linear weights on standardised inputs before anything is learned."""

CLIP = 8.0
"""Standardised inputs are kept within this many deviations: no outlier runs the MLP."""


QUERY_HIDDEN = 32
QUERY_PRIOR = {
    "query_last": 0.5,
    "query_mean": 0.3,
    "named_nearest": 0.5,
    "named_mean": 0.3,
    "is_named": -2.0,
    "asks_category": 1.0,
}
"""Linear weights of a query's inputs before anything is learned."""
QUERY_PART = "query_part."
"""Before the names of its tensors."""

NEUTRAL = {
    "linear_D": 0.0,
    "inner_DM": 0.0,
    "mean_D": 0.0,
    "deviation_D": 1.0,
    QUERY_PART + "inner_DM": 0.0,
}
"""What an input that is not read has in the tensors that go by input."""


def inputs_then(manifest: Manifest) -> tuple[str, ...]:
    """The inputs of a generation's head, in its order.

    A manifest of version 0.1 has only the digest of its statistics: those of one that are ours
    without one statistic are found by it. Raises GenerationRefused when they are not known.
    """
    if recorded := manifest.training.get("inputs"):
        return tuple(map(str, recorded))
    similarities = INPUTS[len(FEATURES) :]
    for start in range(len(FEATURES) + 1):
        for stop in range(start, len(FEATURES) + 1):
            names = FEATURES[:start] + FEATURES[stop:]
            if feature_digest(names) == manifest.feature_set:
                return names + similarities
    raise GenerationRefused(
        f"{manifest.generation} reads feature set {manifest.feature_set}, of which this version "
        f"does not know the statistics; it computes {feature_digest(FEATURES)}"
    )


def completed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A head's tensors, with a part for queries that has learned nothing where they have none."""
    fresh = {QUERY_PART + name: value for name, value in QueryPart().state_dict().items()}
    return fresh | dict(state)


def widened(state: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
    """A head's tensors, of inputs ``names``, as a head of this version that gives the same scores.

    Raises GenerationRefused when it reads what is not computed any more.
    """
    gone = sorted(set(names) - set(INPUTS))
    if gone:
        raise GenerationRefused(f"it reads {', '.join(gone)}, which this version does not compute")
    places = torch.tensor([INPUTS.index(name) for name in names])
    whole = completed(state)
    for tensor, value in NEUTRAL.items():
        narrow = state.get(tensor)
        if narrow is None:
            continue
        whole[tensor] = torch.full((len(INPUTS), *narrow.shape[1:]), value, dtype=narrow.dtype)
        whole[tensor][places] = narrow
    return whole


class QueryPart(nn.Module):
    """What a query adds to a score: linear in its own inputs, and an MLP over these and all others.

    Before anything is learned it is the linear part alone: closeness to what was asked for, beside
    the user's own order.
    """

    def __init__(self) -> None:
        super().__init__()
        width, drawn = len(INPUTS) + len(QUERY_INPUTS), torch.Generator().manual_seed(0)
        bound = (6.0 / width) ** 0.5
        start = torch.rand(width, QUERY_HIDDEN, generator=drawn) * 2 * bound - bound
        self.inner_DM = nn.Parameter(start[: len(INPUTS)].clone())
        self.inner_QM = nn.Parameter(start[len(INPUTS) :].clone())
        self.bias_M = nn.Parameter(torch.zeros(QUERY_HIDDEN))
        self.outer_M = nn.Parameter(torch.zeros(QUERY_HIDDEN))
        self.linear_Q = nn.Parameter(torch.tensor([QUERY_PRIOR.get(n, 0.0) for n in QUERY_INPUTS]))

    def forward(self, standard: Tensor, query: Tensor) -> Tensor:
        """Of the head's standardised inputs (..., D) and a query's (..., Q): (...)."""
        query = query.clamp(-CLIP, CLIP)
        inner = standard @ self.inner_DM + query @ self.inner_QM + self.bias_M
        added: Tensor = query @ self.linear_Q + torch.relu(inner) @ self.outer_M
        return added


class Head(nn.Module):
    """Weights, standardisation and calibration of one generation."""

    mean_D: Tensor
    deviation_D: Tensor
    served_kind: Tensor  # position in KINDS whose calibration a recommendation uses

    def __init__(self, generator: torch.Generator | None = None) -> None:
        super().__init__()
        width = len(INPUTS)
        self.linear_D = nn.Parameter(torch.tensor([PRIOR.get(name, 0.0) for name in INPUTS]))
        bound = (6.0 / width) ** 0.5  # He et al. 2015, uniform
        start = torch.rand(width, HIDDEN, generator=generator) * 2 * bound - bound
        self.inner_DM = nn.Parameter(start)
        self.bias_M = nn.Parameter(torch.zeros(HIDDEN))
        self.outer_M = nn.Parameter(torch.zeros(HIDDEN))
        self.log_scale_K = nn.Parameter(torch.zeros(len(KINDS)))
        self.shift_K = nn.Parameter(torch.full((len(KINDS),), -2.0))
        self.query_part = QueryPart()
        self.register_buffer("mean_D", torch.zeros(width))
        self.register_buffer("deviation_D", torch.ones(width))
        self.register_buffer("served_kind", torch.tensor(KINDS.index(ExampleKind.IMPRESSION)))

    def score_parameters(self) -> list[nn.Parameter]:
        return [self.linear_D, self.inner_DM, self.bias_M, self.outer_M]

    def query_parameters(self) -> list[nn.Parameter]:
        return list(self.query_part.parameters())

    def calibration_parameters(self) -> list[nn.Parameter]:
        return [self.log_scale_K, self.shift_K]

    def standardised(self, inputs: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        return ((inputs - self.mean_D) / self.deviation_D).clamp(-CLIP, CLIP)

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores (...) of raw inputs (..., D)."""
        x = self.standardised(inputs)
        hidden = torch.relu(x @ self.inner_DM + self.bias_M)
        scores: Tensor = x @ self.linear_D + hidden @ self.outer_M
        return scores

    def asked(self, inputs: Tensor, query: Tensor, asked_B: Tensor) -> Tensor:
        """Scores (B, C) of raw inputs (B, C, D), with what was asked for (B, C, Q) in those where
        something was, ``asked_B``."""
        scores: Tensor = self(inputs)
        if not bool(asked_B.any()):
            return scores
        added = self.query_part(self.standardised(inputs[asked_B]), query[asked_B])
        return scores.index_put((asked_B.nonzero().flatten(),), added, accumulate=True)

    def calibrated_logit(self, scores: Tensor, kind: Tensor) -> Tensor:
        """Log odds of acceptance; ``kind``: positions in KINDS, broadcast over scores."""
        return scores * self.log_scale_K.exp()[kind] + self.shift_K[kind]
