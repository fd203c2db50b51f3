"""What writes replies: a generation's plans and its words; templates alone where there is none.

Knows what the answerer asks of it. Does not know how a plan is learned or a text is sampled.

Legend: C numbers of a context (``core.replies.context``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streamrec.core.examples import FloatArray
from streamrec.core.replies.brief import Brief, prompt, slots
from streamrec.core.replies.plan import Length
from streamrec.core.replies.plan_bandit import ChosenPlan, PlanBandit
from streamrec.core.state.catalogue import Catalogue
from streamrec.ports import HotSwap, ServingModel
from streamrec.ports.generating import Grammar, OnText, Wanted, Written

TEMPLATES = "template"
"""In the place of a generation: nothing that was learned."""
TOKENS = {Length.SHORT: 30, Length.LONG: 45}


Choose = Callable[[FloatArray, int], ChosenPlan]
"""For a context (C,), by a seed."""
Write = Callable[[Sequence[Wanted], OnText | None], Sequence[Written]]
"""As ``ports.Generator.generate``. Raises Unavailable, GenerationRefused, MODEL_FAULTS."""


def wanted(brief: Brief, generation: str, seed: int) -> Wanted:
    """What a brief asks of a model."""
    asked, plan = prompt(brief), brief.plan
    least = min(plan.named, len(brief.listed))
    grammar = Grammar(slots(brief), TOKENS[plan.length], least, least + plan.history)
    return Wanted(asked.fixed, asked.rest, generation, grammar, seed)


@dataclass(frozen=True, slots=True)
class ReplyModel:
    """``ports.ServingModel``. ``write``: None where only templates speak."""

    generation: str = TEMPLATES
    trained_through: Mapping[str, int] = field(default_factory=dict)
    choose: Choose = field(default_factory=lambda: PlanBandit().choose)
    write: Write | None = None


ONLY_TEMPLATES = ReplyModel()


class TemplatesFirst:
    """``ports.HotSwap``: until there is a champion, templates answer, once ``ready`` says so."""

    def __init__(self, swap: HotSwap, ready: Callable[[], bool]) -> None:
        self._swap, self._ready = swap, ready

    @property
    def active(self) -> ServingModel | None:
        return self._swap.active or (ONLY_TEMPLATES if self._ready() else None)

    def stage(self, generation: str, directory: Path, catalogue: Catalogue) -> None:
        self._swap.stage(generation, directory, catalogue)

    def is_warm(self, generation: str) -> bool:
        return generation == TEMPLATES or self._swap.is_warm(generation)

    def model(self, generation: str) -> ServingModel | None:
        return ONLY_TEMPLATES if generation == TEMPLATES else self._swap.model(generation)

    def activate(self, generation: str) -> None:
        self._swap.activate(generation)

    def keep(self, generations: Sequence[str]) -> None:
        self._swap.keep(generations)

    def ensure(self, catalogue: Catalogue) -> int:
        return self._swap.ensure(catalogue)
