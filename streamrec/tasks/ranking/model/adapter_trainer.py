"""The slow lane: the encoder's adapter trained online, through a simple score.

Knows one encoder in training and what it learns from remembered examples. Does not know the
head: trained through it, the adapter was worse (docs/adr/0035). It is not served; the
learner publishes a copy of its weights now and then (``published``).

score(user, item) = scale × cosine(user, item) + weight × popularity, the user being the
decayed mean of the vectors of the last few accepted items; softmax over an example's own
candidates and what the others of the batch accepted.

A step, in order:

1. Texts of all its items, as they are or shuffled; what the frozen layers make of them;
   tokens hidden at random (``lab.ablations.regularisers``).
2. Gradients of the loss (``models.gradient_cache``): in one piece, or in several.
3. With FGM, gradients of the loss on perturbed embeddings, added.
4. The pull to the published weights; clipping; one optimiser step.

What is random in a step follows from the seed and the step's number.

Legend: B examples, H history items, U distinct items of a batch, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamrec.core.events import Item
from streamrec.core.examples import ExampleKind
from streamrec.lab.ablations.regularisers import (
    adversarial,
    hidden_tokens,
    mean_state,
    shuffled_text,
)
from streamrec.models.data_parallel import Followers
from streamrec.models.encoder import TextEncoder
from streamrec.models.gradient_cache import Piecewise
from streamrec.models.gradient_pieces import Piece
from streamrec.models.item_index import centred, item_text
from streamrec.models.state_dicts import named, under
from streamrec.settings import Optimiser
from streamrec.tasks.ranking.features import FEATURES
from streamrec.tasks.ranking.model.head import KINDS
from streamrec.tasks.ranking.model.optimisers import (
    RATES,
    load_optimiser_state,
    make_optimiser,
    optimiser_state,
)
from streamrec.tasks.ranking.model.replay_buffer import ReplayBatch

_POPULARITY = FEATURES.index("accepts_5000ev")


@dataclass(frozen=True, slots=True)
class AdapterRecipe:
    """How the adapter is trained; a step costs about ``examples`` × (history + 2) texts."""

    learning_rate: float = RATES[Optimiser.ADAMW]
    score_rate: float = 1e-2  # of scale and weight
    examples: int = 16  # per step, half of them fresh
    history: int = 5
    shown: int = 3  # items of an impression that were not accepted, per example
    warmup_steps: int = 10
    clip_norm: float = 1.0  # 0: gradients are left as they are
    proximal: float = 1e-2  # × squared distance to the published weights
    decay: float = 0.8  # of a history item's weight, per newer one
    first_publish: int = 64  # steps until the first encoder version: it has most to gain
    publish_steps: int = 128  # then one whenever the steps are a multiple of this
    optimiser: Optimiser = Optimiser.ADAMW
    weight_decay: float = 0.0
    pieces: int = 1  # in which a step's texts pass the encoder
    bfloat16: bool = False  # mixed precision of the trained layers
    hide_tokens: float = 0.0
    shuffle_text: bool = False
    fgm: float = 0.0
    average: int = 1  # recent published states whose mean is published
    seed: int = 0


class AdapterTrainer:
    """An adapter in training."""

    def __init__(
        self, encoder: TextEncoder, recipe: AdapterRecipe, followers: Followers | None = None
    ) -> None:
        """``encoder`` is the published one; what is trained is a copy of its adapter."""
        self._recipe = recipe
        self._encoder = encoder.with_adapter()
        followers = followers or Followers()
        self._piecewise = Piecewise(self._encoder, bfloat16=recipe.bfloat16, followers=followers)
        self._cuts = recipe.pieces * followers.processes
        self.steps = 0
        self._anchor = self._copied()
        self._recent: list[dict[str, Tensor]] = []  # published states, newest last
        self._log_scale = nn.Parameter(torch.tensor(2.0))
        self._popularity = nn.Parameter(torch.tensor(0.5))
        self._optimiser = make_optimiser(
            recipe.optimiser,
            self._encoder.trainable_parameters(),
            recipe.learning_rate,
            recipe.weight_decay,
        )
        self._score_optimiser = make_optimiser(
            Optimiser.ADAMW, [self._log_scale, self._popularity], recipe.score_rate, 0.0
        )

    @property
    def due(self) -> bool:
        """Whether enough was learned since the last publication to publish again."""
        schedule = self._recipe.publish_steps
        return self.steps > 0 and (
            self.steps == self._recipe.first_publish or not self.steps % schedule
        )

    @property
    def until_due(self) -> int:
        """Steps until the next publication."""
        first, schedule = self._recipe.first_publish, self._recipe.publish_steps
        ahead = schedule - self.steps % schedule
        return min(ahead, first - self.steps) if self.steps < first else ahead

    def published(self) -> TextEncoder:
        """A frozen copy of the weights as they are, or of their mean with the ones before.

        The weights as they are become the proximal anchor.
        """
        self._anchor = self._copied()
        if self._recipe.average == 1:
            return self._encoder.with_adapter()
        self._recent.append(self._encoder.adapter_state())
        del self._recent[: -self._recipe.average]
        return self._encoder.with_adapter(mean_state(self._recent))

    def step(
        self,
        fresh: ReplayBatch,
        replayed: ReplayBatch,
        items: Callable[[Sequence[int]], list[Item]],
        centre_D: Tensor,
    ) -> float | None:
        """One optimiser step on both; its loss, or None when no example can teach anything.

        ``items`` gives the items of catalogue rows; ``centre_D`` is the index's.
        """
        half = self._recipe.examples // 2
        examples = _useful(fresh, half) + _useful(replayed, self._recipe.examples - half)
        training_pairs = [self._lesson(example) for example in examples]
        if len(training_pairs) < 2:
            return None
        self.steps += 1
        for optimiser in (self._optimiser, self._score_optimiser):
            optimiser.zero_grad(set_to_none=True)
        rows = sorted({row for lesson in training_pairs for row in lesson.rows})
        pieces = self._pieces(items(rows))
        softmax = self._softmax(training_pairs, rows, centre_D)
        loss = self._piecewise.backward(pieces, softmax, self._step_seed)
        if self._recipe.fgm:
            self._piecewise.backward(self._perturbed(pieces), softmax, self._step_seed)
        self._move()
        return loss

    @property
    def _step_seed(self) -> int:
        return self._recipe.seed * 1_000_003 + self.steps

    def _copied(self) -> list[Tensor]:
        return [p.detach().clone() for p in self._encoder.trainable_parameters()]

    def _pieces(self, items: Sequence[Item]) -> list[Piece]:
        """What enters the trained layers, in as many pieces as the recipe says per process."""
        recipe, drawn = self._recipe, torch.Generator().manual_seed(self._step_seed)
        texts = [
            shuffled_text(item, drawn) if recipe.shuffle_text else item_text(item) for item in items
        ]
        size = -(-len(texts) // self._cuts)
        pieces = []
        for start in range(0, len(texts), size):
            entering, mask = self._encoder.entering(texts[start : start + size])
            piece = Piece(*hidden_tokens(entering, mask, recipe.hide_tokens, drawn))
            if recipe.fgm:
                piece.want_gradient()
            pieces.append(piece)
        return pieces

    def _perturbed(self, pieces: Sequence[Piece]) -> list[Piece]:
        return [
            Piece(adversarial(p.entering_BTH.detach(), p.gradient, self._recipe.fgm), p.mask_BT)
            for p in pieces
        ]

    def _move(self) -> None:
        """Step 4 of the module's docstring."""
        recipe, parameters = self._recipe, self._encoder.trainable_parameters()
        distance = torch.stack(
            [(p - a).pow(2).sum() for p, a in zip(parameters, self._anchor, strict=True)]
        ).sum()
        torch.autograd.backward(recipe.proximal * distance)
        if recipe.clip_norm:
            nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
        warm = min(1.0, self.steps / recipe.warmup_steps)
        self._optimiser.param_groups[0]["lr"] = recipe.learning_rate * warm
        self._optimiser.step()
        self._score_optimiser.step()

    def _lesson(self, example: ReplayBatch) -> _Lesson:
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

    def _softmax(
        self, training_pairs: Sequence[_Lesson], rows: Sequence[int], centre_D: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """The loss as a function of the raw vectors (U, D) of ``rows``."""
        place = {row: u for u, row in enumerate(rows)}
        popularity_U = torch.zeros(len(rows))
        for lesson in training_pairs:
            for row, value in lesson.popularity.items():
                popularity_U[place[row]] = value
        history_BU, allowed_BU = torch.zeros(2, len(training_pairs), len(rows))
        targets = {lesson.target for lesson in training_pairs if not lesson.impression}
        for b, lesson in enumerate(training_pairs):
            for age, row in enumerate(lesson.history):
                history_BU[b, place[row]] += self._recipe.decay**age
            others = () if lesson.impression else targets - set(lesson.history)
            for row in {lesson.target, *lesson.refused, *others}:
                allowed_BU[b, place[row]] = 1.0
        target_B = torch.tensor([place[lesson.target] for lesson in training_pairs])

        def loss(raw_UD: Tensor) -> Tensor:
            on = raw_UD.device
            vectors_UD = centred(raw_UD, centre_D.to(on))
            users_BD = functional.normalize(history_BU.to(on) @ vectors_UD, dim=-1)
            scores_BU = self._log_scale.exp() * users_BD @ vectors_UD.T
            scores_BU = scores_BU + self._popularity * popularity_U.to(on)
            scores_BU = scores_BU.masked_fill(allowed_BU.to(on) == 0, -1e4)
            return functional.cross_entropy(scores_BU, target_B.to(on))

        return loss

    def state(self) -> dict[str, Tensor]:
        state = named("adapter", self._encoder.adapter_state())
        state |= {f"anchor.{n}": a for n, a in enumerate(self._anchor)}
        for n, recent in enumerate(self._recent):
            state |= named(f"recent.{n}", recent)
        state |= named("optimiser", optimiser_state(self._optimiser))
        state |= named("score_optimiser", optimiser_state(self._score_optimiser))
        both = torch.stack([self._log_scale.detach(), self._popularity.detach()])
        return state | {"score": both, "steps": torch.tensor([self.steps])}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Raises KeyError, RuntimeError or GenerationRefused when the state does not fit."""
        self._encoder.load_adapter_state(under("adapter", state))
        self._anchor = [
            state[f"anchor.{n}"].to(own.device, copy=True) for n, own in enumerate(self._anchor)
        ]
        published = range(sum(1 for name in state if name.startswith("recent.")))
        recent = (under(f"recent.{n}", state) for n in published)
        self._recent = [weights for weights in recent if weights]
        with torch.no_grad():
            self._log_scale.copy_(state["score"][0])
            self._popularity.copy_(state["score"][1])
        self.steps = int(state["steps"])
        load_optimiser_state(self._optimiser, under("optimiser", state))
        load_optimiser_state(self._score_optimiser, under("score_optimiser", state))


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


def _useful(examples: ReplayBatch, count: int) -> list[ReplayBatch]:
    """The newest ``count`` with a history and an accepted item of several."""
    known = (examples.rows >= 0) & (examples.labels > 0)
    useful = (examples.history >= 0).any(1) & known.any(1) & (examples.mask.sum(1) > 1)
    chosen = torch.nonzero(useful).flatten().tolist()[-count:]
    return [examples[slice(b, b + 1)] for b in chosen]
