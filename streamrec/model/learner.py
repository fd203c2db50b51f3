"""The weights being trained, both lanes, and everything needed to resume.

Knows when a step is due, what is replayed beside fresh examples, and how examples become
the head's inputs. Does not know Kafka, generations' manifests or the gate.

The head always trains on the item vectors of one encoder version. Text similarities of
remembered examples are computed once and kept; a new index recomputes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from streamrec.core.catalogue import Catalogue
from streamrec.core.examples import Example, ExampleKind
from streamrec.model.fast_lane import FastLane, FastRecipe
from streamrec.model.head import INPUTS
from streamrec.model.ranker import Ranker, head_inputs
from streamrec.model.replay_memory import Remembered, ReplayMemory
from streamrec.model.tensors import example_tensors
from streamrec.ports import LearnReport


class Vectors(Protocol):
    """What the learner needs of ``model.index.ItemIndex``."""

    @property
    def vectors(self) -> Tensor: ...

    def ensure(self, catalogue: Catalogue) -> int: ...


@dataclass(frozen=True, slots=True)
class Recipe:
    """Rhythm and memory of learning."""

    step_examples: int = 32  # fresh examples per optimiser step
    replayed: int = 200  # older examples beside them
    recent: int = 2_048  # slots of replay memory
    reservoir: int = 2_048
    candidates: int = 64  # kept of an example: accepted ones first, others sampled
    fast: FastRecipe = FastRecipe()


class OnlineLearner:
    """A ``ports.Learner``."""

    def __init__(
        self, catalogue: Catalogue, index: Vectors, seed: int, recipe: Recipe | None = None
    ) -> None:
        self._recipe = recipe or Recipe()
        self._catalogue = catalogue
        self._index = index
        self._generator = torch.Generator().manual_seed(seed)
        self._fast = FastLane(self._recipe.fast, self._generator)
        self._memory = ReplayMemory(
            self._recipe.recent, self._recipe.reservoir, self._recipe.candidates, len(INPUTS)
        )
        self._waiting: list[Example] = []
        self.examples = 0

    def learn(self, examples: Sequence[Example]) -> LearnReport:
        """Take the steps that these examples are due, replaying older ones beside them."""
        self._waiting += examples
        losses: list[dict[str, float]] = []
        size = self._recipe.step_examples
        while len(self._waiting) >= size:
            fresh, self._waiting = self._waiting[:size], self._waiting[size:]
            losses.append(self._step(fresh))
        self.examples += len(examples)
        names = losses[0] if losses else ()
        means = {name: sum(at[name] for at in losses) / len(losses) for name in names}
        return LearnReport(len(examples), len(losses), 0, means)

    def snapshot(self) -> Ranker:
        """An immutable copy of the averaged weights, over the current index."""
        self._index.ensure(self._catalogue)
        return Ranker(self._fast.frozen_head(), self._index.vectors, self._catalogue)

    def _step(self, fresh: list[Example]) -> dict[str, float]:
        self._index.ensure(self._catalogue)
        arrived = self._remembered(fresh)
        self._fast.observe(arrived)
        batch = arrived.as_float()
        if len(self._memory):
            batch = batch.joined(self._memory.draw(self._recipe.replayed, self._generator))
        self._memory.add(arrived, self._generator)
        return self._fast.step(batch)

    def _remembered(self, examples: Sequence[Example]) -> Remembered:
        narrowed = [self._narrowed(example) for example in examples]
        batch = example_tensors(narrowed, self._catalogue, self._recipe.candidates)
        return Remembered(
            inputs=head_inputs(self._index.vectors, batch).half(),
            labels=batch.labels_BC,
            log_q=batch.log_q_BC,
            mask=batch.mask_BC,
            kind=batch.kind_B,
            rows=batch.rows_BC.int(),
            history=batch.history_BH.int(),
        )

    def _narrowed(self, example: Example) -> Example:
        """At most ``candidates`` of an example: accepted ones, then a sample of the others."""
        width = self._recipe.candidates
        if len(example.candidates) <= width:
            return example
        accepted = np.flatnonzero(example.labels_C > 0)[: width // 2]
        others = np.flatnonzero(example.labels_C <= 0)
        order = torch.randperm(len(others), generator=self._generator).numpy()
        sampled = others[order[: width - len(accepted)]]
        chosen = np.sort(np.concatenate([accepted, sampled]))
        log_q = example.log_q_C[chosen]
        if example.kind is ExampleKind.NEXT_CLICK:
            log_q = log_q + np.float32(np.log(len(sampled) / len(others)))
        return Example(
            partition=example.partition,
            offset=example.offset,
            index=example.index,
            kind=example.kind,
            user_id=example.user_id,
            shown_at_ms=example.shown_at_ms,
            produced_at_ms=example.produced_at_ms,
            history=example.history,
            candidates=tuple(example.candidates[c] for c in chosen),
            labels_C=example.labels_C[chosen],
            stats_CF=example.stats_CF[chosen],
            log_q_C=log_q,
        )
