"""The slow lane: the encoder's adapter trained online, through a simple score.

Knows one encoder in training and what it learns from remembered examples. Does not know the
head: trained through it, the adapter was worse (docs/adr/0035). It is not served; the
learner publishes a copy of its weights now and then (``published``).

score(user, item) = scale × cosine(user, item) + weight × popularity, the user being the
decayed mean of the vectors of the last few accepted items; softmax over an example's own
candidates and what the others of the batch accepted.

Legend: B examples, H history items, U distinct items of a batch, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamrec.core.examples import ExampleKind
from streamrec.core.features import FEATURES
from streamrec.model.encoder import TextEncoder
from streamrec.model.head import KINDS
from streamrec.model.index import centred
from streamrec.model.replay_memory import Remembered

_POPULARITY = FEATURES.index("accepts_5000ev")


@dataclass(frozen=True, slots=True)
class SlowRecipe:
    """How the adapter is trained; a step costs about ``examples`` × (history + 2) texts."""

    learning_rate: float = 2e-4
    score_rate: float = 1e-2  # of scale and weight
    examples: int = 16  # per step, half of them fresh
    history: int = 5
    shown: int = 3  # items of an impression that were not accepted, per example
    warmup_steps: int = 10
    clip_norm: float = 1.0
    proximal: float = 1e-2  # × squared distance to the published weights
    decay: float = 0.8  # of a history item's weight, per newer one
    publish_steps: int = 128  # a new encoder version after this many


class SlowLane:
    """An adapter in training."""

    def __init__(self, encoder: TextEncoder, recipe: SlowRecipe) -> None:
        """``encoder`` is the published one; what is trained is a copy of its adapter."""
        self._recipe = recipe
        self._encoder = encoder.with_adapter()
        self.steps = 0
        self._anchor = [p.detach().clone() for p in self._encoder.trainable_parameters()]
        self._log_scale = nn.Parameter(torch.tensor(2.0))
        self._popularity = nn.Parameter(torch.tensor(0.5))
        self._optimiser = torch.optim.AdamW(
            [
                {"params": self._encoder.trainable_parameters(), "weight_decay": 0.0},
                {
                    "params": [self._log_scale, self._popularity],
                    "lr": recipe.score_rate,
                    "weight_decay": 0.0,
                },
            ],
            lr=recipe.learning_rate,
        )

    @property
    def due(self) -> bool:
        """Whether enough was learned since the last publication to publish again."""
        return self.steps > 0 and self.steps % self._recipe.publish_steps == 0

    def published(self) -> TextEncoder:
        """A frozen copy of the weights as they are; they become the proximal anchor."""
        self._anchor = [p.detach().clone() for p in self._encoder.trainable_parameters()]
        return self._encoder.with_adapter()

    def step(
        self,
        fresh: Remembered,
        replayed: Remembered,
        texts: Callable[[Sequence[int]], list[str]],
        centre_D: Tensor,
    ) -> float | None:
        """One optimiser step on both; its loss, or None when no example can teach anything.

        ``texts`` gives the texts of catalogue rows; ``centre_D`` is the index's.
        """
        half = self._recipe.examples // 2
        examples = _useful(fresh, half) + _useful(replayed, self._recipe.examples - half)
        lessons = [self._lesson(example) for example in examples]
        if len(lessons) < 2:
            return None
        self.steps += 1
        warm = min(1.0, self.steps / self._recipe.warmup_steps)
        self._optimiser.param_groups[0]["lr"] = self._recipe.learning_rate * warm
        loss = self._loss(lessons, texts, centre_D)
        parameters = self._encoder.trainable_parameters()
        distance = torch.stack(
            [(p - a).pow(2).sum() for p, a in zip(parameters, self._anchor, strict=True)]
        ).sum()
        self._optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss + self._recipe.proximal * distance)
        nn.utils.clip_grad_norm_(parameters, self._recipe.clip_norm)
        self._optimiser.step()
        return loss.item()

    def _lesson(self, example: Remembered) -> _Lesson:
        """Rows of one example (batch of one): history, what was accepted, what was not."""
        accepted = example.labels[0] > 0
        shown = example.mask[0] & ~accepted & (example.rows[0] >= 0)
        impression = int(example.kind[0]) == KINDS.index(ExampleKind.IMPRESSION)
        refused = torch.nonzero(shown).flatten()[: self._recipe.shown if impression else 0]
        target = int(torch.nonzero(accepted & (example.rows[0] >= 0))[0])
        history = [int(r) for r in example.history[0] if r >= 0]
        popularity = {
            int(example.rows[0, c]): float(example.inputs[0, c, _POPULARITY])
            for c in [target, *refused.tolist()]
        }
        return _Lesson(
            tuple(history[: self._recipe.history]),
            int(example.rows[0, target]),
            tuple(int(example.rows[0, c]) for c in refused),
            popularity,
            impression,
        )

    def _loss(
        self,
        lessons: Sequence[_Lesson],
        texts: Callable[[Sequence[int]], list[str]],
        centre_D: Tensor,
    ) -> Tensor:
        rows = sorted({row for lesson in lessons for row in lesson.rows})
        place = {row: u for u, row in enumerate(rows)}
        raw_UD = self._encoder.embed(texts(rows))
        vectors_UD = centred(raw_UD, centre_D.to(raw_UD.device))
        popularity_U = torch.zeros(len(rows), device=raw_UD.device)
        for lesson in lessons:
            for row, value in lesson.popularity.items():
                popularity_U[place[row]] = value
        history_BU, allowed_BU = torch.zeros(2, len(lessons), len(rows))
        targets = {lesson.target for lesson in lessons if not lesson.impression}
        for b, lesson in enumerate(lessons):
            for age, row in enumerate(lesson.history):
                history_BU[b, place[row]] += self._recipe.decay**age
            others = () if lesson.impression else targets - set(lesson.history)
            for row in {lesson.target, *lesson.refused, *others}:
                allowed_BU[b, place[row]] = 1.0
        users_BD = functional.normalize(history_BU.to(raw_UD.device) @ vectors_UD, dim=-1)
        scores_BU = self._log_scale.exp() * users_BD @ vectors_UD.T
        scores_BU = scores_BU + self._popularity * popularity_U
        scores_BU = scores_BU.masked_fill(allowed_BU.to(raw_UD.device) == 0, -1e4)
        target_B = torch.tensor([place[at.target] for at in lessons], device=raw_UD.device)
        return functional.cross_entropy(scores_BU, target_B)

    def state(self) -> dict[str, Tensor]:
        state = {f"adapter.{k}": v for k, v in self._encoder.adapter_state().items()}
        state |= {f"anchor.{n}": a for n, a in enumerate(self._anchor)}
        for number, slots in self._optimiser.state_dict()["state"].items():
            state |= {f"optimiser.{number}.{k}": v for k, v in slots.items()}
        score = torch.stack([self._log_scale.detach(), self._popularity.detach()])
        return state | {"score": score, "steps": torch.tensor([self.steps])}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Raises KeyError, RuntimeError or GenerationRefused when the state does not fit."""
        self._encoder.load_adapter_state(_under("adapter.", state))
        self._anchor = [state[f"anchor.{n}"].clone() for n in range(len(self._anchor))]
        with torch.no_grad():
            self._log_scale.copy_(state["score"][0])
            self._popularity.copy_(state["score"][1])
        self.steps = int(state["steps"])
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in _under("optimiser.", state).items():
            number, _, slot = name.partition(".")
            slots.setdefault(int(number), {})[slot] = value
        self._optimiser.load_state_dict(self._optimiser.state_dict() | {"state": slots})


@dataclass(frozen=True, slots=True)
class _Lesson:
    history: tuple[int, ...]  # catalogue rows, newest first
    target: int
    refused: tuple[int, ...]
    popularity: Mapping[int, float]
    impression: bool

    @property
    def rows(self) -> tuple[int, ...]:
        return (*self.history, self.target, *self.refused)


def _useful(examples: Remembered, count: int) -> list[Remembered]:
    """The newest ``count`` with a history and an accepted item of several."""
    known = (examples.rows >= 0) & (examples.labels > 0)
    useful = (examples.history >= 0).any(1) & known.any(1) & (examples.mask.sum(1) > 1)
    chosen = torch.nonzero(useful).flatten().tolist()[-count:]
    return [examples[slice(b, b + 1)] for b in chosen]


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
