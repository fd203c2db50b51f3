"""Linear scores of a wording: from its length, or from its words by TF-IDF.

Learned as the task itself is: by the multinomial loss over the arms of a test, in rounds, with a
replay of tests closed before. What it is compared with is the inputs, nothing else.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from streamrec.core.examples import FloatArray
from streamrec.ports import LearnReport
from streamrec.tasks.copy.examples import CopyExample
from streamrec.tasks.copy.model.prior_head import ClickLevel, multinomial_loss

Inputs = list[tuple[str, float]]
"""Of one text: name and value of what it has."""

ROUND, REPLAYS, RATE = 16, 9, 0.01


def length_inputs(text: str) -> Inputs:
    """Words and characters, each on its own scale."""
    return [("words", len(text.split()) / 15), ("characters", len(text) / 80)]


def word_inputs(text: str) -> Inputs:
    """Words and pairs of them, once each; ``WordLearner`` weighs them by how rare they are."""
    words = re.findall(r"\w+", text.casefold())
    return [(term, 1.0) for term in dict.fromkeys([*words, *map(" ".join, pairwise(words))])]


class WordScorer:
    """Frozen weights."""

    def __init__(
        self,
        rows: Callable[[Sequence[str]], list[tuple[list[int], list[float]]]],
        weights: Tensor,
        level: ClickLevel,
    ) -> None:
        self._rows, self._weights, self.level = rows, weights, level

    def score(self, examples: Sequence[CopyExample]) -> list[FloatArray]:
        """(A,) of each example."""
        weights = self._weights.numpy()
        return [
            np.array([sum(weights[i] * x for i, x in zip(*row, strict=True)) for row in found])
            for found in (self._rows(example.texts) for example in examples)
        ]


class WordLearner:
    """``inputs``: of a text; ``rare``: whether rare ones weigh more."""

    def __init__(self, inputs: Callable[[str], Inputs], seed: int, *, rare: bool) -> None:
        self._inputs, self._seed, self._rare = inputs, seed, rare
        self._numbers: dict[str, int] = {}
        self._titles: Counter[str] = Counter()
        self._read = 0
        self._weights = torch.zeros(1 << 18, requires_grad=True)
        self._optimizer = torch.optim.Adagrad([self._weights], lr=RATE, lr_decay=0.0)
        self._waiting: list[CopyExample] = []
        self._memory: list[CopyExample] = []
        self._level, self._rounds = ClickLevel(), 0

    def learn(self, examples: Sequence[CopyExample]) -> LearnReport:
        """Take the rounds that these examples complete."""
        steps = 0
        for example in examples:
            self._waiting.append(example)
            if len(self._waiting) == ROUND:
                steps += self._round()
        return LearnReport(len(examples), steps, 0, {})

    def snapshot(self) -> WordScorer:
        """As of now."""
        return WordScorer(self._rows, self._weights.detach().clone(), self._level)

    def _round(self) -> int:
        fresh, self._waiting = self._waiting, []
        for example, score_A in zip(fresh, self.snapshot().score(fresh), strict=True):
            self._level.observe(example, score_A)
            for text in example.texts:
                self._read += 1
                self._titles.update(name for name, _ in self._inputs(text))
        self._memory += fresh
        drawn = np.random.default_rng([self._seed, self._rounds])
        self._rounds += 1
        batches = [fresh] + [
            [self._memory[i] for i in drawn.integers(len(self._memory), size=ROUND)]
            for _ in range(REPLAYS)
        ]
        for batch in batches:
            self._step(batch)
        return len(batches)

    def _step(self, examples: Sequence[CopyExample]) -> None:
        rows = self._rows([text for example in examples for text in example.texts])
        lengths = [len(numbers) for numbers, _ in rows]
        numbers = torch.tensor([i for found, _ in rows for i in found])
        values = torch.tensor([x for _, found in rows for x in found])
        owner = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(lengths))
        scores_T = torch.zeros(len(rows)).index_add(0, owner, self._weights[numbers] * values)
        self._optimizer.zero_grad()
        multinomial_loss(scores_T, examples).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def _rows(self, texts: Sequence[str]) -> list[tuple[list[int], list[float]]]:
        return [self._row(text) for text in texts]

    def _row(self, text: str) -> tuple[list[int], list[float]]:
        found = self._inputs(text)
        number = [self._numbers.setdefault(n, len(self._numbers) % (1 << 18)) for n, _ in found]
        value = [x * self._rarity(name) for name, x in found]
        if self._rare:
            size = math.sqrt(sum(x * x for x in value)) or 1.0
            value = [x / size for x in value]
        return number, value

    def _rarity(self, name: str) -> float:
        return math.log((1 + self._read) / (1 + self._titles[name])) + 1 if self._rare else 1.0
