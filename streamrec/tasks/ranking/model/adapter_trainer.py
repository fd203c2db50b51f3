"""The encoder's adapter trained online, through a simple score.

Learns from replayed examples, not through the head: trained through it, the adapter was worse
(docs/adr/0035). It is not served; a copy of its weights is published now and then (``published``).

score(user, item) = scale × cosine(user, item) + weight × popularity, the user being the
decayed mean of the vectors of the last few accepted items; softmax over an example's own
candidates and what the others of the batch accepted.

A step, in order:

1. The training pairs of its examples. Where several processes train (``models.data_parallel``),
   each gets all of them and takes the rest of the step.
2. The texts of its items, and what the frozen layers make of them, in chunks.
3. Gradients of the loss (``models.gradient_cache``).
4. The pull to the published weights; clipping; one optimiser step.

What the laboratory's recipes do otherwise (``streamrec.lab.recipes``) are the functions at the
end of ``AdapterConfig``. What is random in a step follows from the seed and the step's number.

Legend: B examples, H history items, U distinct items of a batch, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from streamrec.core.events import Item
from streamrec.models.data_parallel import Ranks
from streamrec.models.encoder import TextEncoder
from streamrec.models.gradient_cache import Chunk, GradientCache
from streamrec.models.item_index import centred, item_text
from streamrec.models.state_dicts import named, under
from streamrec.tasks.ranking.examples import ExampleKind
from streamrec.tasks.ranking.features import FEATURES
from streamrec.tasks.ranking.model.head import KINDS
from streamrec.tasks.ranking.model.replay_buffer import ReplayBatch

LEARNING_RATE = 2e-4
"""Of AdamW, where the settings name none."""

_POPULARITY = FEATURES.index("accepts_5000ev")

Backward = Callable[[Sequence[Chunk]], float]
"""Adds gradients; the loss."""


def adamw(parameters: Iterable[nn.Parameter], config: AdapterConfig) -> torch.optim.Optimizer:
    """Loshchilov & Hutter 2019."""
    return torch.optim.AdamW(parameters, config.learning_rate, weight_decay=config.weight_decay)


def plain_text(item: Item, _drawn: Generator) -> str:
    """The text as it is."""
    return item_text(item)


def one_pass(chunks: Sequence[Chunk], backward: Backward, _drawn: Generator) -> float:
    """One backward pass, of the chunks as they are."""
    return backward(chunks)


def as_they_are() -> Callable[[TextEncoder], TextEncoder]:
    """Publish a frozen copy of the weights."""
    return TextEncoder.with_adapter


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """How the adapter is trained; a step costs about ``examples`` × (history + 2) texts."""

    learning_rate: float = LEARNING_RATE
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
    weight_decay: float = 0.0
    chunks: int = 1  # in which a process' texts of a step pass the encoder
    bfloat16: bool = False  # mixed precision of the trained layers
    seed: int = 0
    # what a recipe of the laboratory may do otherwise
    make_optimiser: Callable[[Iterable[nn.Parameter], AdapterConfig], torch.optim.Optimizer] = adamw
    text_of: Callable[[Item, Generator], str] = plain_text
    pass_chunks: Callable[[Sequence[Chunk], Backward, Generator], float] = one_pass
    publisher: Callable[[], Callable[[TextEncoder], TextEncoder]] = as_they_are


@dataclass(frozen=True, slots=True)
class AdapterPair:
    """What one example teaches."""

    history: tuple[int, ...]  # catalogue rows, newest first
    target: int
    refused: tuple[int, ...]
    popularity: Mapping[int, float]
    impression: bool

    @property
    def rows(self) -> tuple[int, ...]:
        return (*self.history, self.target, *self.refused)


@dataclass(frozen=True, slots=True, eq=False)
class AdapterStep:
    """All that a process needs to take a step: the same one as the others."""

    pairs: Sequence[AdapterPair]
    rows: Sequence[int]  # of the catalogue, U of them
    items: Sequence[Item]  # of these rows
    centre_D: Tensor
    state: Mapping[str, Tensor] | None  # of the trainer before the step, where it is news


class AdapterTrainer:
    """An adapter in training."""

    def __init__(
        self, encoder: TextEncoder, config: AdapterConfig, ranks: Ranks | None = None
    ) -> None:
        """``encoder`` is the published one; what is trained is a copy of its adapter."""
        self._config = config
        self.encoder = encoder.with_adapter()
        self._ranks = ranks or Ranks()
        self._cache: GradientCache | None = None  # None: the other ranks do not know our weights
        self.steps = 0
        self._anchor = self._copied()
        self._publish = config.publisher()
        self._log_scale = nn.Parameter(torch.tensor(2.0))
        self._popularity = nn.Parameter(torch.tensor(0.5))
        self._optimiser = config.make_optimiser(self.encoder.trainable_parameters(), config)
        score = [self._log_scale, self._popularity]
        self._score_optimiser = torch.optim.AdamW(score, config.score_rate, weight_decay=0.0)

    @property
    def due(self) -> bool:
        """Whether enough was learned since the last publication to publish again."""
        schedule = self._config.publish_steps
        return self.steps > 0 and (
            self.steps == self._config.first_publish or not self.steps % schedule
        )

    @property
    def until_due(self) -> int:
        """Steps until the next publication."""
        first, schedule = self._config.first_publish, self._config.publish_steps
        ahead = schedule - self.steps % schedule
        return min(ahead, first - self.steps) if self.steps < first else ahead

    def published(self) -> TextEncoder:
        """The encoder to be tried next. The weights as they are become the proximal anchor."""
        self._anchor = self._copied()
        return self._publish(self.encoder)

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
        half = self._config.examples // 2
        examples = _useful(fresh, half) + _useful(replayed, self._config.examples - half)
        pairs = [self._pair(example) for example in examples]
        if len(pairs) < 2:
            return None
        rows = sorted({row for pair in pairs for row in pair.rows})
        step = AdapterStep(pairs, rows, items(rows), centre_D.cpu(), self._news())
        return self.take(self._ranks.broadcast(step))

    def take(self, step: AdapterStep) -> float:
        """Steps 2 to 4 of the module's docstring; every rank takes the same ones. The loss."""
        if step.state is not None:
            self.load_state(step.state)
        if self._cache is None:
            self._cache = GradientCache(
                self.encoder, bfloat16=self._config.bfloat16, ranks=self._ranks
            )
        self.steps += 1
        for optimiser in (self._optimiser, self._score_optimiser):
            optimiser.zero_grad(set_to_none=True)
        seed = self._config.seed * 1_000_003 + self.steps
        drawn = torch.Generator().manual_seed(seed)
        softmax, cache = self._softmax(step), self._cache
        loss = self._config.pass_chunks(
            self._chunks(step.items, drawn),
            lambda chunks: cache.backward(chunks, softmax, seed),
            drawn,
        )
        self._move()
        return loss

    def _news(self) -> Mapping[str, Tensor] | None:
        """Our state, where other ranks have not seen it."""
        if self._cache is not None or self._ranks.size == 1:
            return None
        return {name: tensor.cpu() for name, tensor in self.state().items()}

    def _copied(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.encoder.trainable_parameters()]

    def _chunks(self, items: Sequence[Item], drawn: Generator) -> list[Chunk]:
        """What enters the trained layers in this process."""
        texts = self._ranks.shard([self._config.text_of(item, drawn) for item in items])
        size = -(-len(texts) // self._config.chunks)
        return [
            Chunk(*self.encoder.hidden_states(texts[start : start + size]))
            for start in range(0, len(texts), size)
        ]

    def _move(self) -> None:
        """Step 4 of the module's docstring."""
        config, parameters = self._config, self.encoder.trainable_parameters()
        distance = torch.stack(
            [(p - a).pow(2).sum() for p, a in zip(parameters, self._anchor, strict=True)]
        ).sum()
        torch.autograd.backward(config.proximal * distance)
        if config.clip_norm:
            clip_grad_norm_(parameters, config.clip_norm)
        warm = min(1.0, self.steps / config.warmup_steps)
        self._optimiser.param_groups[0]["lr"] = config.learning_rate * warm
        self._optimiser.step()
        self._score_optimiser.step()

    def _pair(self, example: ReplayBatch) -> AdapterPair:
        """Rows of one example (batch of one): history, what was accepted, what was not."""
        accepted = example.labels[0] > 0
        shown = example.mask[0] & ~accepted & (example.rows[0] >= 0)
        impression = int(example.kind[0]) == KINDS.index(ExampleKind.IMPRESSION)
        refused = torch.nonzero(shown).flatten()[: self._config.shown if impression else 0]
        target = int(torch.nonzero(accepted & (example.rows[0] >= 0))[0])
        history = [int(r) for r in example.history[0] if r >= 0]
        popularity = {
            int(example.rows[0, c]): float(example.inputs[0, c, _POPULARITY])
            for c in [target, *refused.tolist()]
        }
        return AdapterPair(
            tuple(history[: self._config.history]),
            int(example.rows[0, target]),
            tuple(int(example.rows[0, c]) for c in refused),
            popularity,
            impression,
        )

    def _softmax(self, step: AdapterStep) -> Callable[[Tensor], Tensor]:
        """The loss as a function of the raw vectors (U, D) of the step's rows."""
        pairs, rows = step.pairs, step.rows
        place = {row: u for u, row in enumerate(rows)}
        popularity_U = torch.zeros(len(rows))
        for pair in pairs:
            for row, value in pair.popularity.items():
                popularity_U[place[row]] = value
        history_BU, allowed_BU = torch.zeros(2, len(pairs), len(rows))
        targets = {pair.target for pair in pairs if not pair.impression}
        for b, pair in enumerate(pairs):
            for age, row in enumerate(pair.history):
                history_BU[b, place[row]] += self._config.decay**age
            others = () if pair.impression else targets - set(pair.history)
            for row in {pair.target, *pair.refused, *others}:
                allowed_BU[b, place[row]] = 1.0
        target_B = torch.tensor([place[pair.target] for pair in pairs])

        def loss(raw_UD: Tensor) -> Tensor:
            on = raw_UD.device
            vectors_UD = centred(raw_UD[: len(rows)], step.centre_D.to(on))
            users_BD = functional.normalize(history_BU.to(on) @ vectors_UD, dim=-1)
            scores_BU = self._log_scale.exp() * users_BD @ vectors_UD.T
            scores_BU = scores_BU + self._popularity * popularity_U.to(on)
            scores_BU = scores_BU.masked_fill(allowed_BU.to(on) == 0, -1e4)
            return functional.cross_entropy(scores_BU, target_B.to(on))

        return loss

    def state(self) -> dict[str, Tensor]:
        state = named("adapter", self.encoder.adapter_state())
        state |= {f"anchor.{n}": a for n, a in enumerate(self._anchor)}
        state |= named("optimiser", optimiser_state(self._optimiser))
        state |= named("score_optimiser", optimiser_state(self._score_optimiser))
        both = torch.stack([self._log_scale.detach(), self._popularity.detach()])
        return state | {"score": both, "steps": torch.tensor([self.steps])}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Raises KeyError, RuntimeError or GenerationRefused when the state does not fit."""
        self.encoder.load_adapter_state(under("adapter", state))
        self._anchor = [
            state[f"anchor.{n}"].to(own.device, copy=True) for n, own in enumerate(self._anchor)
        ]
        with torch.no_grad():
            self._log_scale.copy_(state["score"][0])
            self._popularity.copy_(state["score"][1])
        self.steps = int(state["steps"])
        load_optimiser_state(self._optimiser, under("optimiser", state))
        load_optimiser_state(self._score_optimiser, under("score_optimiser", state))
        self._cache = None


def _useful(examples: ReplayBatch, count: int) -> list[ReplayBatch]:
    """The newest ``count`` with a history and an accepted item of several."""
    known = (examples.rows >= 0) & (examples.labels > 0)
    useful = (examples.history >= 0).any(1) & known.any(1) & (examples.mask.sum(1) > 1)
    chosen = torch.nonzero(useful).flatten().tolist()[-count:]
    return [examples[slice(b, b + 1)] for b in chosen]


def follow(encoder: TextEncoder, config: AdapterConfig, ranks: Ranks) -> TextEncoder:
    """What every rank but the first does until its shutdown: take its steps with it.

    Returns the encoder as trained. Raises GroupBroken when rank 0 is gone.
    """
    trainer: AdapterTrainer | None = None
    while (step := ranks.broadcast(None)) is not None:
        trainer = trainer or AdapterTrainer(encoder, config, ranks)
        trainer.take(step)
    return encoder if trainer is None else trainer.published()


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Its moments, flat and named ``<parameter number>.<slot>``."""
    return {
        f"{number}.{slot}": value
        for number, slots in optimiser.state_dict()["state"].items()
        for slot, value in slots.items()
        if isinstance(value, Tensor)
    }


def load_optimiser_state(optimiser: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Take what ``optimiser_state`` gave. Raises RuntimeError when that was another kind's."""
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in state.items():
        number, _, slot = name.partition(".")
        slots.setdefault(int(number), {})[slot] = value
    moments = {name for values in slots.values() for name in values}
    if isinstance(optimiser, torch.optim.AdamW) and moments - {"step", "exp_avg", "exp_avg_sq"}:
        raise RuntimeError(f"moments of another optimiser than AdamW: {sorted(moments)}")
    optimiser.load_state_dict(optimiser.state_dict() | {"state": slots})
