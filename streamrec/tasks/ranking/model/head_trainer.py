"""The head trained online, in milliseconds, on a CPU or a GPU.

Knows the losses, the optimiser, the running standardisation and the averaged weights.

Losses of a batch of examples:

- *listwise*: softmax over an example's candidates, logits score - log_q, so that negatives
  sampled by popularity do not teach that popular items are bad (Bengio & Senécal 2008); the
  accepted item is in the list for certain, so its own log_q is 0;
- *calibration*: binary cross-entropy of accept / not accept through the Platt layer, on the
  detached score.

What the laboratory's recipes do otherwise (``streamrec.lab.recipes``) are the functions at the
end of ``HeadConfig``.

Legend: B examples, C candidates, D inputs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from streamrec.models.state_dicts import named, under
from streamrec.tasks.ranking.examples import ExampleKind
from streamrec.tasks.ranking.model.head import INPUTS, KINDS, Head, completed
from streamrec.tasks.ranking.model.query_inputs import QUERY_INPUTS
from streamrec.tasks.ranking.model.replay_buffer import ReplayBatch

MOMENT_EXAMPLES = 2_000.0
"""The running standardisation forgets over this many examples, once it has seen them."""
LEAST_DEVIATION = 1e-2


def warmed_up(config: HeadConfig, step: int) -> float:
    """Learning rate of a step (from 1): it rises once, then stays."""
    return config.learning_rate * min(1.0, step / config.warmup_steps)


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """How the head is trained. The defaults were tuned over kinds of streams, not one file."""

    learning_rate: float = 5e-3
    calibration_rate: float = 2e-2
    weight_decay: float = 1e-2
    warmup_steps: int = 20
    clip_norm: float = 1.0
    averaging: float = 0.98  # of the served weights, per step
    inputs: tuple[str, ...] = (*INPUTS, *QUERY_INPUTS)  # others are ignored: ablations, baselines
    hidden: bool = True  # False: the linear part alone is learned
    # what a recipe of the laboratory may do otherwise
    rate_at: Callable[[HeadConfig, int], float] = warmed_up
    more_loss: Callable[[HeadTrainer, Tensor, ReplayBatch], Tensor] | None = None
    watcher: Callable[[HeadTrainer], Callable[[ReplayBatch], None]] | None = None


class HeadTrainer:
    """One head in training, and its average that is served."""

    def __init__(self, config: HeadConfig, generator: torch.Generator) -> None:
        self._config = config
        self.head = Head(generator)
        self._used_D = torch.tensor([float(name in config.inputs) for name in INPUTS])
        self._used_Q = torch.tensor([float(name in config.inputs) for name in QUERY_INPUTS])
        self._confine()
        self.averaged = copy.deepcopy(self.head).requires_grad_(False)
        self.steps = 0
        self.kinds_seen = torch.zeros(len(KINDS))
        self._watch = config.watcher(self) if config.watcher else None
        self._moments = torch.zeros(3, len(INPUTS))  # sums: 1, x, x²
        self._optimiser = torch.optim.AdamW(
            [
                {"params": self.head.score_parameters(), "weight_decay": config.weight_decay},
                {
                    "params": self.head.calibration_parameters(),
                    "weight_decay": 0.0,
                    "lr": config.calibration_rate,
                },
                {"params": self.head.query_parameters(), "weight_decay": config.weight_decay},
            ],
            lr=config.learning_rate,
        )

    def observe(self, fresh: ReplayBatch) -> None:
        """Fresh examples move standardisation and mix of kinds, before they are learned."""
        if self._watch is not None:
            self._watch(fresh)
        self.kinds_seen += torch.bincount(fresh.kind, minlength=len(KINDS))
        share = 1.0 / fresh.mask.sum(1, keepdim=True).clamp(min=1)
        weights_BC = fresh.mask * share * fresh.weight[:, None]  # an example counts as its weight
        x = fresh.inputs.float()
        sums = torch.stack(
            [
                weights_BC.sum().expand(x.shape[-1]),
                (weights_BC[..., None] * x).sum((0, 1)),
                (weights_BC[..., None] * x * x).sum((0, 1)),
            ]
        )
        self._moments = self._moments * (0.5 ** (len(fresh) / MOMENT_EXAMPLES)) + sums
        count, total, squares = self._moments
        mean = total / count
        deviation = (squares / count - mean**2).clamp(min=0).sqrt().clamp(min=LEAST_DEVIATION)
        for head in (self.head, self.averaged):
            head.mean_D.copy_(mean)
            head.deviation_D.copy_(deviation)
            head.served_kind.fill_(self._served_kind())

    def step(self, batch: ReplayBatch) -> dict[str, float]:
        """One optimiser step; the mean losses by name."""
        self.steps += 1
        for group in (0, 2):
            rate = self._config.rate_at(self._config, self.steps)
            self._optimiser.param_groups[group]["lr"] = rate
        scores_BC = self.head.asked(batch.inputs, batch.query, batch.asked)
        losses = {
            "listwise": listwise(scores_BC, batch),
            "calibration": self._calibration(scores_BC.detach(), batch),
        }
        if self._config.more_loss is not None:
            losses["recipe"] = self._config.more_loss(self, scores_BC, batch)
        self._optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(list(losses.values())).sum())
        clip_grad_norm_(self.head.parameters(), self._config.clip_norm)
        self._optimiser.step()
        self._confine()
        self._average()
        return {name: loss.item() for name, loss in losses.items()}

    def start_from(self, head: Mapping[str, Tensor]) -> None:
        """Go on from a released head; optimiser and warm-up begin anew.

        Its standardisation counts as ``MOMENT_EXAMPLES`` examples, so that it moves slowly.
        Raises RuntimeError when it is of another shape.
        """
        for mine in (self.head, self.averaged):
            mine.load_state_dict(dict(head))
        mean, deviation = self.head.mean_D, self.head.deviation_D
        ones = torch.ones_like(mean)
        self._moments = MOMENT_EXAMPLES * torch.stack([ones, mean, deviation**2 + mean**2])
        self.kinds_seen[int(self.head.served_kind)] = 1.0

    def copied(self) -> HeadTrainer:
        """Another trainer that would go on exactly as this one; a recipe's watcher begins anew."""
        copied = HeadTrainer(self._config, torch.Generator())
        copied.load_state({name: value.clone() for name, value in self.state().items()})
        return copied

    def frozen_head(self) -> Head:
        """A copy of the averaged weights."""
        return copy.deepcopy(self.averaged)

    def _served_kind(self) -> int:
        """Impressions say what P(accept | shown) is; without any, sampled lists must do."""
        impressions, next_clicks = self.kinds_seen[:2].tolist()
        kind = ExampleKind.IMPRESSION if impressions >= next_clicks else ExampleKind.NEXT_CLICK
        return KINDS.index(kind)

    def _calibration(self, scores_BC: Tensor, batch: ReplayBatch) -> Tensor:
        logits_BC = self.head.calibrated_logit(scores_BC, batch.kind[:, None])
        losses_BC = functional.binary_cross_entropy_with_logits(
            logits_BC, batch.labels, reduction="none"
        )
        weights_BC = batch.mask * batch.weight[:, None]
        return (losses_BC * weights_BC).sum() / weights_BC.sum().clamp(min=1)

    @torch.no_grad()
    def _confine(self) -> None:
        """Keep what the config leaves out at zero."""
        head = self.head
        query = head.query_part
        if not self._used_D.all():
            head.linear_D.mul_(self._used_D)
            head.inner_DM.mul_(self._used_D[:, None])
            query.inner_DM.mul_(self._used_D[:, None])
        if not self._used_Q.all():
            query.linear_Q.mul_(self._used_Q)
            query.inner_QM.mul_(self._used_Q[:, None])
        if not self._config.hidden:
            head.outer_M.zero_()
            query.outer_M.zero_()

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self._config.averaging, self.steps / (self.steps + 5.0))
        pairs = zip(self.averaged.parameters(), self.head.parameters(), strict=True)
        for average, current in pairs:
            average.lerp_(current, 1.0 - keep)

    def state(self) -> dict[str, Tensor]:
        """Everything a resume needs, flat and named."""
        state = named("head", self.head.state_dict())
        state |= named("averaged", self.averaged.state_dict())
        for number, slots in self._optimiser.state_dict()["state"].items():
            state |= named(f"optimiser.{number}", slots)
        counts = torch.tensor([self.steps])
        return state | {"moments": self._moments, "kinds_seen": self.kinds_seen, "steps": counts}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Raises KeyError or RuntimeError when the state is of another shape."""
        self.head.load_state_dict(completed(under("head", state)))
        self.averaged.load_state_dict(completed(under("averaged", state)))
        self._moments, self.kinds_seen = state["moments"], state["kinds_seen"]
        self.steps = int(state["steps"])
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in under("optimiser", state).items():
            number, _, slot = name.partition(".")
            slots.setdefault(int(number), {})[slot] = value
        whole = self._optimiser.state_dict()
        self._optimiser.load_state_dict(whole | {"state": slots})


def listwise(scores_BC: Tensor, batch: ReplayBatch) -> Tensor:
    """Mean softmax cross-entropy over examples that have both labels, by their weight; 0 when
    none has."""
    losses_B, weights_B = listwise_losses(scores_BC, batch)
    return (losses_B * weights_B).sum() / weights_B.sum().clamp(min=1)


def listwise_losses(scores_BC: Tensor, batch: ReplayBatch) -> tuple[Tensor, Tensor]:
    """Of each example its softmax cross-entropy, and what it weighs: 0 without both labels."""
    logits_BC = (scores_BC - batch.log_q).masked_fill(~batch.mask, -1e4)
    positives_B = batch.labels.sum(1)
    useful_B = (positives_B > 0) & (positives_B < batch.mask.sum(1))
    losses_B = -(logits_BC.log_softmax(1) * batch.labels).sum(1) / positives_B.clamp(min=1)
    return losses_B, useful_B * batch.weight
