"""Epochs of an adapter and its head over labelled texts, and when they end.

The head begins where the frozen model's ends (``probe``; docs/adr/0153), so step 0 answers as the
frozen model does. What an epoch reads in which order follows from seed and epoch alone: a run that
is taken up again ends in the same bits.

Knows texts, labels and gradients. Does not know files.

Shapes: B, N texts, D dimensions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from streamrec.errors import UserError
from streamrec.lab.labels.parts import LabelParts
from streamrec.lab.labels.probe import Floats, Probe, log_loss
from streamrec.lab.labels.rows import LabelledText
from streamrec.models.encoder import TextEncoder

HEAD_RATE = 3e-4
DECAY = 0.01
LONGEST_GRADIENT = 1.0
WARM_SHARE = 0.1
"""Of the first epoch: the rate rises so long."""


@dataclass(frozen=True, slots=True)
class FitPlan:
    epochs: int = 5
    patience: int = 2  # epochs without a lower dev loss before it ends
    batch: int = 16
    rate: float = 5e-4
    seed: int = 0
    keep_s: float = 20.0  # so much work a kill may cost


@dataclass(frozen=True, slots=True)
class LabelEpoch:
    """``number`` 0: the frozen model. Losses in nats a text."""

    number: int
    loss: float | None
    dev_loss: float
    dev_accuracy: float
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FitProgress:
    """Texts done in this epoch, of so many; ``rate``: texts a second, since it began or went on."""

    epoch: int
    epochs: int
    done: int
    of: int
    loss: float
    rate: float


@dataclass
class FitState:
    """Where it has got to: ``step`` batches into ``epoch``, which have lost ``losses`` in sum."""

    epoch: int = 1
    step: int = 0
    losses: float = 0.0
    seconds: float = 0.0  # of this epoch so far
    epochs: list[LabelEpoch] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, kept: dict[str, Any]) -> FitState:
        return cls(**kept | {"epochs": [LabelEpoch(**epoch) for epoch in kept["epochs"]]})

    @property
    def best(self) -> LabelEpoch | None:
        """Of the trained epochs the first of those with the lowest dev loss."""
        return min(self.epochs[1:], key=lambda epoch: epoch.dev_loss, default=None)


class LinearHead(nn.Module):
    """``Probe`` with weights that learn, in units of standardised vectors."""

    centre_D: Tensor
    spread_D: Tensor

    def __init__(self, start: Probe) -> None:
        super().__init__()
        self.register_buffer("centre_D", torch.tensor(start.centre_D, dtype=torch.float32))
        self.register_buffer("spread_D", torch.tensor(start.spread_D, dtype=torch.float32))
        self.weights_D = nn.Parameter(torch.tensor(start.weights_D, dtype=torch.float32))
        self.bias = nn.Parameter(torch.tensor(start.bias, dtype=torch.float32))

    def forward(self, vectors_BD: Tensor) -> Tensor:
        """Log-odds of label 1, (B,)."""
        return ((vectors_BD - self.centre_D) / self.spread_D) @ self.weights_D + self.bias

    def plain(self) -> dict[str, Tensor]:
        """The same as ``vector @ weights + bias``."""
        weights_D = (self.weights_D / self.spread_D).detach().cpu()
        bias = self.bias.detach().cpu() - self.centre_D.cpu() @ weights_D
        return {"weights": weights_D, "bias": bias}


class Fitting:
    """One run. ``state`` and ``tensors`` are all that has to be kept of it."""

    def __init__(
        self,
        encoder: TextEncoder,
        start: Probe,
        penalty: float,
        parts: LabelParts,
        plan: FitPlan,
    ) -> None:
        """``penalty``: of ``probe.fitted``. With the same one the head that the frozen model had is
        at rest: what it learns from then on, it learns because the adapter has moved."""
        self._encoder, self._plan, self._penalty = encoder, plan, penalty
        self._train, self._dev = parts.train, parts.dev
        self.head = LinearHead(start).to(encoder.device)
        self.state = FitState()
        self._best: dict[str, Tensor] = {}
        self._optimizer = torch.optim.AdamW(
            [
                {"params": encoder.trainable_parameters(), "lr": plan.rate, "most": plan.rate},
                {
                    "params": list(self.head.parameters()),
                    "lr": HEAD_RATE,
                    "most": HEAD_RATE,
                    "weight_decay": 0.0,
                },
            ],
            weight_decay=DECAY,
        )

    def run(
        self, on_progress: Callable[[FitProgress], None], keep: Callable[[Fitting], None]
    ) -> FitState:
        """To the end; afterwards encoder and head are those of the best epoch.

        ``keep`` is called every ``keep_s`` seconds and after every epoch.

        Raises UserError when it diverges.
        """
        state = self.state
        if not state.epochs:
            state.epochs.append(self._judged(0, None, 0.0))
        while not self.over:
            self._epoch(on_progress, keep)
            keep(self)
        self._put(self._best)
        return state

    @property
    def over(self) -> bool:
        best, last = self.state.best, len(self.state.epochs) - 1
        if last >= self._plan.epochs:
            return True
        return best is not None and last - best.number >= self._plan.patience

    def logits(self, rows: Sequence[LabelledText]) -> Floats:
        """Log-odds of label 1 as the weights are now, (N,)."""
        with torch.no_grad():
            vectors_ND = self._encoder.encode([row.text for row in rows]).to(self._encoder.device)
            logits_N: Floats = self.head(vectors_ND).cpu().double().numpy()
        return logits_N

    def tensors(self) -> dict[str, Tensor]:
        """Copies of everything that learns, of the optimiser, and of the best epoch."""
        kept = {f"now.{name}": tensor for name, tensor in self._weights().items()}
        kept |= {f"best.{name}": tensor for name, tensor in self._best.items()}
        for place, values in self._optimizer.state_dict()["state"].items():
            kept |= {f"adam.{place}.{name}": tensor.clone() for name, tensor in values.items()}
        return {name: tensor.cpu().contiguous() for name, tensor in kept.items()}

    def restore(self, state: FitState, tensors: dict[str, Tensor]) -> None:
        """Go on from there. Raises GenerationRefused when the weights do not fit."""
        self.state = state
        self._put(_below("now", tensors))
        self._best = _below("best", tensors)
        adam: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _below("adam", tensors).items():
            place, _, value = name.partition(".")
            adam.setdefault(int(place), {})[value] = tensor
        self._optimizer.load_state_dict(self._optimizer.state_dict() | {"state": adam})

    def _epoch(
        self, on_progress: Callable[[FitProgress], None], keep: Callable[[Fitting], None]
    ) -> None:
        state, batches = self.state, self._batches(self.state.epoch)
        began = kept = time.perf_counter()
        before, done, first = state.seconds, 0, state.step
        read = sum(map(len, batches[:first]))
        for batch in batches[first:]:
            state.losses += self._step([self._train[n] for n in batch], len(batches)) * len(batch)
            state.step += 1
            done += len(batch)
            now = time.perf_counter()
            state.seconds = before + now - began
            loss, rate = state.losses / (read + done), done / (now - began)
            of = len(self._train)
            on_progress(FitProgress(state.epoch, self._plan.epochs, read + done, of, loss, rate))
            if now - kept > self._plan.keep_s:
                keep(self)
                kept = time.perf_counter()
        judged = self._judged(state.epoch, state.losses / len(self._train), state.seconds)
        state.epochs.append(judged)
        if state.best is judged:
            self._best = self._weights()
        state.epoch, state.step, state.losses, state.seconds = state.epoch + 1, 0, 0.0, 0.0

    def _step(self, rows: Sequence[LabelledText], steps: int) -> float:
        """One step; ``steps``: of an epoch. The mean loss before it."""
        number = (self.state.epoch - 1) * steps + self.state.step + 1
        for group in self._optimizer.param_groups:
            group["lr"] = group["most"] * min(1.0, number / (WARM_SHARE * steps))
        labels_B = torch.tensor([float(row.label) for row in rows], device=self._encoder.device)
        logits_B = self.head(self._encoder.embed([row.text for row in rows]))
        loss = functional.binary_cross_entropy_with_logits(logits_B, labels_B)
        if not math.isfinite(loss.item()):
            raise UserError(f"the loss is {loss.item()} in epoch {self.state.epoch}: lower --rate")
        self._optimizer.zero_grad()
        head = self.head
        (loss + self._penalty / 2 * head.weights_D.square().sum()).backward()  # type: ignore[no-untyped-call]
        every = [p for group in self._optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(every, LONGEST_GRADIENT)
        self._optimizer.step()
        return float(loss.item())

    def _batches(self, epoch: int) -> list[list[int]]:
        order = np.random.default_rng([self._plan.seed, epoch]).permutation(len(self._train))
        size = self._plan.batch
        return [order[start : start + size].tolist() for start in range(0, len(order), size)]

    def _judged(self, number: int, loss: float | None, seconds: float) -> LabelEpoch:
        logits_N = self.logits(self._dev)
        labels_N = np.array([row.label for row in self._dev], dtype=np.float64)
        right = float(np.mean((logits_N > 0) == (labels_N > 0)))
        return LabelEpoch(number, loss, log_loss(logits_N, labels_N), right, round(seconds, 1))

    def _weights(self) -> dict[str, Tensor]:
        head = {f"head.{name}": p.detach().clone() for name, p in self.head.named_parameters()}
        adapter = self._encoder.adapter_state()
        return head | {f"adapter.{name}": tensor for name, tensor in adapter.items()}

    def _put(self, weights: dict[str, Tensor]) -> None:
        self._encoder.load_adapter_state(_below("adapter", weights))
        self.head.load_state_dict(_below("head", weights), strict=False)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    cut = f"{prefix}."
    return {name[len(cut) :]: t for name, t in tensors.items() if name.startswith(cut)}
