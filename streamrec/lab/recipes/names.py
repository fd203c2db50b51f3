"""The recipes by name: which of them a person asked for, and what each was measured to be worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from types import ModuleType

from streamrec.errors import UserError
from streamrec.lab.recipes import (
    adafactor,
    adalora,
    adapter_averaging,
    early_stopping,
    fgm,
    hidden_tokens,
    ia3,
    last_layers,
    prefix,
    proximal,
    proximal_kl,
    rate_cycles,
    sgd,
    shuffled_text,
)
from streamrec.models.lora import Adapt, adapt
from streamrec.settings import Adapter, EncoderSettings
from streamrec.tasks.ranking.model.learner import LearnerConfig

TRAINING = {
    "adafactor": adafactor,
    "adapter-averaging": adapter_averaging,
    "early-stopping": early_stopping,
    "fgm": fgm,
    "hidden-tokens": hidden_tokens,
    "proximal": proximal,
    "proximal-kl": proximal_kl,
    "rate-cycles": rate_cycles,
    "sgd": sgd,
    "shuffled-text": shuffled_text,
}
"""Each has ``apply``: the loop's way of learning, with one thing done otherwise."""

METHODS = {"adalora": adalora, "ia3": ia3, "last-layers": last_layers, "prefix": prefix}
"""Adapter methods, at most one of them; each has ``adapt``."""

RECIPES: Mapping[str, ModuleType] = dict(sorted((TRAINING | METHODS).items()))


@dataclass(frozen=True, slots=True)
class Chosen:
    """Recipes that go together; none: the loop's own way."""

    names: tuple[str, ...] = ()
    changes: tuple[Callable[[LearnerConfig], LearnerConfig], ...] = ()
    method: Adapt = adapt

    @property
    def own_method(self) -> bool:
        """Whether the adapter is of a method that the loop has not: it cannot load it then."""
        return self.method is not adapt

    def learning(self, config: LearnerConfig) -> LearnerConfig:
        """The loop's way of learning, with everything done otherwise that was asked for."""
        for change in self.changes:
            config = change(config)
        return config

    def encoder(self, settings: EncoderSettings) -> EncoderSettings:
        """Raises UserError when the settings ask for an adapter method too."""
        if self.own_method and settings.adapter is not Adapter.LORA:
            raise UserError(
                f"STREAMREC_ENCODER_ADAPTER={settings.adapter} and --recipe {self.names[-1]} are "
                "two adapter methods: leave the setting out"
            )
        return prefix.exact(settings) if self.method is prefix.adapt else settings


def chosen(names: Sequence[str]) -> Chosen:
    """The recipes of these names.

    Raises:
        UserError: one is unknown, or two change the same thing.
    """
    names = list(dict.fromkeys(names))
    if unknown := [name for name in names if name not in RECIPES]:
        raise UserError(f"no recipe {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    methods = [name for name in names if name in METHODS]
    training = [name for name in names if name in TRAINING]
    touched = {name: set(_touched(TRAINING[name].apply)) for name in training}
    touched |= {name: {"the adapter method"} for name in methods}
    for n, name in enumerate(names):
        for other in names[:n]:
            if both := touched[name] & touched[other]:
                raise UserError(
                    f"--recipe {other} and --recipe {name} both change {', '.join(sorted(both))}"
                )
    method = METHODS[methods[0]].adapt if methods else adapt
    return Chosen((*training, *methods), tuple(TRAINING[n].apply for n in training), method)


def described() -> Iterator[tuple[str, str, str]]:
    """Name, what it is, and what was measured; from the modules' own words."""
    for name, module in RECIPES.items():
        what, *parts = (module.__doc__ or "").split("\n\n")
        measured = next(part for part in parts if part.startswith("Measured: "))
        yield name, _line(what), _line(measured.removeprefix("Measured: "))


def _line(text: str) -> str:
    return " ".join(text.split())


def _touched(change: Callable[[LearnerConfig], LearnerConfig]) -> Iterator[str]:
    """Which fields of the head's and the adapter's config it sets."""
    before = LearnerConfig()
    after = change(before)
    for was, now in ((before.head, after.head), (before.adapter, after.adapter)):
        assert was is not None  # noqa: S101 - as the defaults are
        for spec in fields(was):
            if getattr(was, spec.name) != getattr(now, spec.name):
                yield spec.name
