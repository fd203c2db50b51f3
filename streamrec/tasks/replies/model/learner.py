"""What replies learn: plans at once (a bandit), words more slowly (an adapter).

Knows examples and when a step is due. Does not know where examples come from.

Plans: every answer is learned the moment it comes (``core.replies.plan_bandit``).

Words: every ``batch`` replies are one round of ``1 + replays`` steps, the first on them, the others
on replies drawn from those before. A step goes down the gradient of

    - mean_i [ w_i A_i min(p_i / q_i, ratio) log p_i ] + price * mean_i [ KL_i ]

with p the probability of a reply under the adapter, without gradient in the ratio, and q that with
which it was written: REINFORCE (Williams 1992), off-policy by truncated importance weights (Ionides
2008). A is the reward less what the bandit expected of the plan before it heard the answer: what
words are praised for is what the plan does not explain. KL is the divergence to the adapter it
started from (Jaques et al. 2017), exact at each token of what was written.

Two more things hold the divergence. Adam's first steps are as long as the rate in every direction,
whatever the gradient: the rate rises over the first ones, or these alone go further than a gate
allows. And where a step finds replies further from the start than ``most_nats``, what has been
learned is shortened to sqrt(most_nats / KL) of itself, for KL grows with the square of the way.

What is drawn depends on seed and round alone.

Shapes: B replies of a step, T tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from streamrec.core.events import Item
from streamrec.core.replies.plan_bandit import PlanBandit
from streamrec.models.causal import CausalModel
from streamrec.models.state_dicts import named, under
from streamrec.ports import LearnReport, Scorer
from streamrec.tasks.replies.examples import ReplyExample
from streamrec.tasks.replies.model import learner_files
from streamrec.tasks.replies.model.learner_files import PraisedReply
from streamrec.tasks.replies.model.scorer import (
    RepliesScorer,
    bandit_of,
    bandit_tensors,
    scored_reply,
    write_replies,
)

LOSSES = ("words", "kl_nats")


@dataclass(frozen=True, slots=True)
class RepliesConfig:
    """``price``: reward that a nat of divergence costs. ``most_nats``: a reply, beyond which the
    way back begins. ``ratio``: the largest importance weight.

    ``chunk``: replies whose probabilities are in memory at once; it changes no more than rounding.
    """

    rate: float = 1e-3
    warm_steps: int = 10
    batch: int = 8
    replays: int = 0
    price: float = 0.08
    ratio: float = 2.0
    memory: int = 512
    most_nats: float = 4.0
    clip_norm: float = 1.0
    chunk: int = 8


class RepliesLearner:
    """``ports.Learner`` over a language model, which it takes over."""

    def __init__(
        self, model: CausalModel, config: RepliesConfig | None = None, seed: int = 0
    ) -> None:
        """``model``: with the adapter to start from."""
        self.model, self.start = model, model.with_adapter()
        self.bandit = PlanBandit()
        self._config, self._seed = config or RepliesConfig(), seed
        self._parameters: list[nn.Parameter] = model.trainable_parameters()
        self._begin_optimizer()
        self._rounds = 0
        self._waiting: list[PraisedReply] = []
        self._memory: list[PraisedReply] = []

    def begin_from(self, adapter: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> None:
        """Take the weights of a generation: its adapter, and the one that it started from.

        Raises GenerationRefused when they do not fit.
        """
        self.start.load_adapter_state(start)
        self.model.load_adapter_state(adapter)
        self._begin_optimizer()

    def learn(self, examples: Sequence[ReplyExample]) -> LearnReport:
        """Take the answers in, and the rounds that they complete."""
        losses: list[Mapping[str, float]] = []
        for example in examples:
            expected = self.bandit.expected(example.plan, example.context_C)
            self.bandit.learn(example.plan, example.context_C, example.reward, example.weight)
            if example.token_ids and example.weight:
                self._waiting.append(PraisedReply(example, example.reward - expected))
            if len(self._waiting) == self._config.batch:
                losses += self._round()
        mean: dict[str, float] = {}
        if losses:
            mean = {name: float(np.mean([one[name] for one in losses])) for name in LOSSES}
        return LearnReport(len(examples), len(losses), len(losses), mean)

    def forget(self, user_id: str) -> int:
        """The bandit's sums are of many people, and stay."""
        before = len(self._waiting) + len(self._memory)
        self._waiting = [one for one in self._waiting if one.example.user_id != user_id]
        self._memory = [one for one in self._memory if one.example.user_id != user_id]
        return before - len(self._waiting) - len(self._memory)

    def snapshot(self) -> RepliesScorer:
        return RepliesScorer(
            self.model.with_adapter(), self.start.with_adapter(), self.bandit.copy()
        )

    def write_generation(self, scorer: Scorer, directory: Path) -> None:
        assert isinstance(scorer, RepliesScorer)  # noqa: S101 - a snapshot of ours
        write_replies(scorer, directory)

    def save(self, directory: Path) -> None:
        learner_files.write(directory, self._state(), self._waiting, self._memory)

    def load(self, directory: Path) -> list[Item]:
        state, self._waiting, self._memory = learner_files.read(directory)
        with learner_files.checked(directory):
            self._restore(state)
        return []

    def restore_items(self, directory: Path) -> list[Item]:  # noqa: ARG002 - words come with examples
        """It does not look at items: what was said of them comes with the examples."""
        return []

    def add_items(self, items: Sequence[Item]) -> list[Item]:  # noqa: ARG002 - likewise
        """Likewise."""
        return []

    def _begin_optimizer(self) -> None:
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=self._config.rate, betas=(0.9, 0.99), weight_decay=0.0
        )

    def _round(self) -> list[Mapping[str, float]]:
        drawn = np.random.default_rng([self._seed, self._rounds])
        fresh, self._waiting = self._waiting, []
        if self._config.replays:
            self._memory = [*self._memory, *fresh][-self._config.memory :]
        losses = [self._step(fresh)]
        for _ in range(self._config.replays):
            places = drawn.integers(len(self._memory), size=self._config.batch)
            losses.append(self._step([self._memory[place] for place in places]))
        self._rounds += 1
        return losses

    def _step(self, praised: Sequence[PraisedReply]) -> Mapping[str, float]:
        """Replies of like length together; the loss, and the mean divergence in nats."""
        self._optimizer.zero_grad(set_to_none=True)
        order = sorted(praised, key=lambda one: len(one.example.prompt_ids))
        loss = divergence = 0.0
        for at in range(0, len(order), self._config.chunk):
            objective, kl = self._objective(order[at : at + self._config.chunk])
            total = objective / len(order)
            total.backward()  # type: ignore[no-untyped-call]
            loss += float(total.detach())
            divergence += kl / len(order)
        nn.utils.clip_grad_norm_(self._parameters, self._config.clip_norm)
        self._optimizer.param_groups[0]["lr"] = self._rate()
        self._optimizer.step()
        if divergence > self._config.most_nats:
            self._pull_back(math.sqrt(self._config.most_nats / divergence))
        return dict(zip(LOSSES, (loss, divergence), strict=True))

    def _rate(self) -> float:
        """Of the next step: it rises over the optimizer's first ones."""
        taken = self._optimizer.state[self._parameters[0]].get("step", 0)
        return self._config.rate * min(1.0, (int(taken) + 1) / self._config.warm_steps)

    @torch.no_grad()
    def _pull_back(self, kept: float) -> None:
        """Towards the start, to so much of the way that was gone."""
        for own, start in zip(self._parameters, self.start.trainable_parameters(), strict=True):
            own.copy_(start + kept * (own - start))

    def _objective(self, praised: Sequence[PraisedReply]) -> tuple[Tensor, float]:
        """Sums over these replies: of the loss, and of the divergence."""
        examples = [one.example for one in praised]
        scored = self.model.score([scored_reply(one) for one in examples], self.start)
        said_B, kl_B = scored.log_probabilities_BT.sum(dim=1), scored.kl_BT.sum(dim=1)
        logged_B = _row([one.log_probability for one in examples], said_B)
        advantage_B = _row([one.example.weight * one.advantage for one in praised], said_B)
        ratio_B = (said_B.detach() - logged_B).exp().clamp(max=self._config.ratio)
        loss = -(advantage_B * ratio_B * said_B).sum() + self._config.price * kl_B.sum()
        return loss, float(kl_B.detach().sum())

    def _state(self) -> dict[str, Tensor]:
        held = self._optimizer.state
        moments = {
            f"{place}.{name}": value
            for place, parameter in enumerate(self._parameters)
            for name, value in held.get(parameter, {}).items()
        }
        return {
            "rounds": torch.tensor(self._rounds),
            **named("now", self.model.adapter_state()),
            **named("start", self.start.adapter_state()),
            **bandit_tensors(self.bandit),
            **named("moment", moments),
        }

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        """Raises KeyError, ValueError, GenerationRefused for a state of something else."""
        self.bandit = bandit_of(state)
        self.begin_from(under("now", state), under("start", state))
        self._rounds = int(state["rounds"])
        moments = under("moment", state)
        for place, parameter in enumerate(self._parameters):
            own = under(str(place), moments)
            if own:
                self._optimizer.state[parameter] = own


def _row(numbers: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(numbers, dtype=like.dtype, device=like.device)
