"""The weights of copy in training: head and adapter by one loss, and everything needed to resume.

Knows examples and when a step is due. Does not know where examples come from (a log or a file).

Every ``batch`` new examples are one round: a step on them, then ``replays`` steps on examples drawn
from those before, so that each is learned about ``1 + replays`` times. What predicts is a running
average of the weights. What is drawn and dropped depends on seed and round alone.

Shapes: T texts, A arms of an example, D dimensions, W inputs that dropout may leave out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from streamrec.core.events import Item
from streamrec.core.examples import FloatArray
from streamrec.core.variants.beta import BetaPrior
from streamrec.models.encoder import TextEncoder
from streamrec.models.generation import write_weights
from streamrec.models.loading import depth
from streamrec.models.state_dicts import named, under
from streamrec.ports import LearnReport, Scorer
from streamrec.settings import Adapter, EncoderSettings
from streamrec.tasks.copy.examples import CopyExample
from streamrec.tasks.copy.model import learner_files
from streamrec.tasks.copy.model.prior_head import ClickLevel, Dropped, PriorHead, multinomial_loss

LAYERS, RANK = 3, 16
CHUNK = 64
REMEMBERED = 50_000
"""Texts whose frozen vectors are kept: 1.5 KB each."""
MAX_TOKENS = 48
"""A headline and the beginning of what follows it."""


def copy_encoder(settings: EncoderSettings) -> EncoderSettings:
    """The language model of the settings, with an adapter as this task wants it.

    Raises EncoderUnavailable when there is no such model.
    """
    shaped = replace(settings, max_tokens=max(settings.max_tokens, MAX_TOKENS))
    if settings.adapter not in {Adapter.LORA, Adapter.DORA}:
        return shaped
    layers = min(LAYERS, depth(settings))
    return replace(shaped, layers=layers, rank=RANK, alpha=2.0 * RANK)


@dataclass(frozen=True, slots=True)
class CopyConfig:
    """``hidden``: units of the head. ``average``: what a step leaves of the average."""

    hidden: int = 64
    head_rate: float = 3e-4
    adapter_rate: float = 1e-3
    dropout: float = 0.2
    replays: int = 4
    batch: int = 16
    average: float = 0.98
    clip_norm: float = 1.0
    memory: int = 4_096  # examples that can be replayed


class FrozenVectors:
    """Vectors of the language model as it came, remembered by text."""

    def __init__(self, encoder: TextEncoder) -> None:
        """``encoder``: with an adapter that has learned nothing; kept."""
        self._encoder = encoder
        self._known: dict[str, Tensor] = {}

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """(T, D), on the CPU."""
        missing = sorted({text for text in texts if text not in self._known})
        if len(self._known) + len(missing) > REMEMBERED:
            self._known.clear()
            missing = sorted(set(texts))
        if missing:
            vectors_TD = self._encoder.encode(missing)
            self._known |= {
                text: row_D.clone() for text, row_D in zip(missing, vectors_TD, strict=True)
            }
        return torch.stack([self._known[text] for text in texts])


class CopyScorer:
    """``ports.Scorer``: frozen weights. What texts are worth, and which prior that makes."""

    def __init__(
        self, frozen: FrozenVectors, encoder: TextEncoder, head: PriorHead, level: ClickLevel
    ) -> None:
        self.encoder, self.head, self.level = encoder, head, level
        self._frozen = frozen

    def scores(self, texts: Sequence[str]) -> FloatArray:
        """(T,)."""
        scores_T = np.zeros(len(texts), np.float32)
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        with torch.no_grad():
            for start in range(0, len(order), CHUNK):
                places = order[start : start + CHUNK]
                chosen = [texts[place] for place in places]
                adapted_TD = self.encoder.embed(chosen).cpu()
                scores_T[places] = self.head(self._frozen(chosen), adapted_TD).numpy()
        return scores_T

    def priors(self, texts: Sequence[str]) -> list[BetaPrior]:
        """How often texts like these are clicked."""
        return [self.level.prior(float(score)) for score in self.scores(texts)]

    def score(self, examples: Sequence[CopyExample]) -> list[FloatArray]:
        """A score of each arm: one (A,) array for each example."""
        scores_T = self.scores([text for example in examples for text in example.texts])
        ends = np.cumsum([len(example.texts) for example in examples])
        return np.split(scores_T, ends[:-1]) if len(examples) else []


class CopyLearner:
    """``ports.Learner`` over an encoder, which it takes over."""

    def __init__(self, encoder: TextEncoder, config: CopyConfig, seed: int = 0) -> None:
        self._encoder, self._config, self._seed = encoder, config, seed
        self.frozen = FrozenVectors(encoder.with_adapter())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._head = PriorHead(encoder.dim, config.hidden)
        self._level = ClickLevel()
        head, adapter = list(self._head.parameters()), encoder.trainable_parameters()
        groups = [{"params": head, "lr": config.head_rate}]
        if adapter:
            groups.append({"params": adapter, "lr": config.adapter_rate})
        self._parameters: list[nn.Parameter] = [*head, *adapter]
        self._average = [p.detach().clone() for p in self._parameters]
        self._optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.0)
        self._steps = self._rounds = 0
        self._waiting: list[CopyExample] = []
        self._memory: list[CopyExample] = []

    def warm(self, texts: Sequence[str]) -> None:
        """Do ahead, and many at a time, what every step with these texts begins with.

        It changes no bit of what is learned, only how long that takes.
        """
        self._encoder.warm(texts)
        self.frozen(texts)

    def learn(self, examples: Sequence[CopyExample]) -> LearnReport:
        """Take the rounds that these examples complete."""
        losses: list[float] = []
        for example in examples:
            self._waiting.append(example)
            if len(self._waiting) == self._config.batch:
                losses += self._round()
        adapted = len(losses) if self._encoder.trainable_parameters() else 0
        mean = {"copy": float(np.mean(losses))} if losses else {}
        return LearnReport(len(examples), len(losses), adapted, mean)

    def forget(self, user_id: str) -> int:  # noqa: ARG002 - counts of many, nobody's
        """Examples are counts of many people: none is a person's."""
        return 0

    def snapshot(self) -> CopyScorer:
        """The average of the weights, as it is now."""
        with self._averaged():
            encoder = self._encoder.with_adapter()
            head = PriorHead(self._encoder.dim, self._config.hidden)
            head.load_state_dict(self._head.state_dict())
        head.requires_grad_(requires_grad=False)
        return CopyScorer(self.frozen, encoder, head, replace(self._level))

    def write_generation(self, scorer: Scorer, directory: Path) -> None:
        assert isinstance(scorer, CopyScorer)  # noqa: S101 - a snapshot of ours
        level = {f"level.{name}": torch.tensor(x) for name, x in asdict(scorer.level).items()}
        head = named("head", scorer.head.state_dict()) | level
        write_weights(directory, scorer.encoder, head, torch.zeros(scorer.encoder.dim))

    def save(self, directory: Path) -> None:
        waiting, memory = self._waiting, self._memory
        learner_files.write(directory, self._state(), waiting, memory)

    def load(self, directory: Path) -> list[Item]:
        state, self._waiting, self._memory = learner_files.read(directory)
        with learner_files.checked(directory):
            self._restore(state)
        return []

    def restore_items(self, directory: Path) -> list[Item]:  # noqa: ARG002 - texts come with examples
        """It does not look at items: texts come with the examples."""
        return []

    def add_items(self, items: Sequence[Item]) -> list[Item]:  # noqa: ARG002 - likewise
        """Likewise."""
        return []

    def _round(self) -> list[float]:
        """Learn what waits, then what is remembered; the loss of each step."""
        drawn = np.random.default_rng([self._seed, self._rounds])
        fresh, self._waiting = self._waiting, []
        with self._averaged():
            for example, scores_A in zip(fresh, self._scored(fresh), strict=True):
                self._level.observe(example, scores_A)
        self._memory = [*self._memory, *fresh][-self._config.memory :]
        losses = [self._step(fresh, drawn)]
        for _ in range(self._config.replays):
            places = drawn.integers(len(self._memory), size=self._config.batch)
            losses.append(self._step([self._memory[place] for place in places], drawn))
        self._rounds += 1
        return losses

    def _step(self, examples: Sequence[CopyExample], drawn: np.random.Generator) -> float:
        texts = [text for example in examples for text in example.texts]
        adapted_TD = self._encoder.embed(texts).cpu()
        dropped = Dropped(
            self._kept(len(texts), self._encoder.dim, drawn),
            self._kept(len(texts), self._config.hidden, drawn),
        )
        both = self._head.both(self.frozen(texts), adapted_TD, dropped)
        loss = multinomial_loss(both[0], examples) + multinomial_loss(both[1], examples)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, self._config.clip_norm)
        self._optimizer.step()
        self._steps += 1
        keep = min(self._config.average, self._steps / (self._steps + 9.0))
        with torch.no_grad():
            for average, now in zip(self._average, self._parameters, strict=True):
                average.lerp_(now, 1.0 - keep)
        return float(loss.detach())

    def _kept(self, texts: int, width: int, drawn: np.random.Generator) -> Tensor:
        kept_TW = drawn.random((texts, width), np.float32) >= self._config.dropout
        return torch.from_numpy(kept_TW.astype(np.float32)) / (1.0 - self._config.dropout)

    def _scored(self, examples: Sequence[CopyExample]) -> list[FloatArray]:
        """By the weights as they stand: one (A,) array each."""
        return CopyScorer(self.frozen, self._encoder, self._head, self._level).score(examples)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Inside, the average stands where the weights were."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for average, now in zip(self._average, self._parameters, strict=True):
            held = now.clone()
            now.copy_(average)
            average.copy_(held)

    # -- resuming -----------------------------------------------------------------------

    def _state(self) -> dict[str, Tensor]:
        numbers = {"steps": self._steps, "rounds": self._rounds, **asdict(self._level)}
        moments = {
            f"{place}.{name}": value
            for place, parameter in enumerate(self._parameters)
            for name, value in self._optimizer.state.get(parameter, {}).items()
        }
        return {
            **named(
                "number", {k: torch.tensor(v, dtype=torch.float64) for k, v in numbers.items()}
            ),
            **named("now", _numbered(self._parameters)),
            **named("average", _numbered(self._average)),
            **named("moment", moments),
        }

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        """Raises KeyError, ValueError, RuntimeError for a state of something else."""
        numbers = {name: float(value) for name, value in under("number", state).items()}
        self._steps, self._rounds = int(numbers.pop("steps")), int(numbers.pop("rounds"))
        self._level = ClickLevel(**numbers)
        now, average = under("now", state), under("average", state)
        moments = under("moment", state)
        with torch.no_grad():
            for place, parameter in enumerate(self._parameters):
                parameter.copy_(now[str(place)])
                self._average[place].copy_(average[str(place)])
                own = under(str(place), moments)
                if own:
                    self._optimizer.state[parameter] = own


def _numbered(tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    return {str(place): tensor.detach() for place, tensor in enumerate(tensors)}
