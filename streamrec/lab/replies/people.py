"""Simulated people with hidden tastes for replies, and what they see of one.

A person accepts a reply with probability

    1 / (1 + exp(-sum_j w_j x_j))

where x_j is 1 where the text has trait j and -1 where not, measured on the text that is read, never
on the plan: a plan that the words do not obey earns nothing. Answers are drawn, so they are noisy:
the best reply there is gets refused now and then.

Tastes are drawn from the seed alone, before anything is written:

- of ``PLANNED`` traits, one is personal: people whose history is of many kinds (``variety`` above
  the median) like it, the others like its opposite, or the other way round; its weight is 0.9;
- the other traits, ``FREE`` ones among them that no plan asks for, are liked or disliked by
  everybody alike, with weight 0.6.

Nobody is told which. Which half a person belongs to shows in the context, nowhere else.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from streamrec.core.replies.brief import Brief
from streamrec.core.replies.names import tokens
from streamrec.core.replies.plan import Length, Tone
from streamrec.core.replies.rendering import Rendered

PLANNED = ("warm", "long", "history", "question")
FREE = ("kinds", "speaker")
COMMON, PERSONAL = 0.6, 0.9
WARM_WORDS = frozenset({"enjoy", "love", "lovely", "happy", "wonderful", "treat", "hope"})
SPEAKER_WORDS = frozenset({"i", "my", "me"})


def traits(brief: Brief, reply: Rendered) -> dict[str, float]:
    """Each 1 or -1. ``kinds``: it says a category of an item on the list; ``speaker``: it speaks of
    itself."""
    words = {token.word for token in tokens(reply.prose)}
    listed = {word.word for item in brief.listed for k in item.categories for word in tokens(k)}
    has = {
        "warm": bool(words & WARM_WORDS) or "!" in reply.prose,
        "long": len(reply.items) > 1,
        "history": bool(reply.from_history),
        "question": reply.prose.rstrip().endswith("?"),
        "kinds": bool(words & listed),
        "speaker": bool(words & SPEAKER_WORDS),
    }
    return {name: 1.0 if there else -1.0 for name, there in has.items()}


@dataclass(frozen=True, slots=True)
class Tastes:
    """``weights``: of the traits that are liked or not by all; ``varied``: of the ``personal``
    trait, for those whose history is of many kinds, and its opposite for the others."""

    weights: Mapping[str, float]
    personal: str
    varied: float

    def accepts(self, seen: Mapping[str, float], *, varied: bool) -> float:
        """With which probability somebody accepts a reply with these traits."""
        own = self.varied if varied else -self.varied
        total = own * seen[self.personal]
        total += sum(weight * seen[name] for name, weight in self.weights.items())
        return 1.0 / (1.0 + math.exp(-total))

    def suits(self, brief: Brief, *, varied: bool) -> bool:
        """Whether the plan's personal trait is the one that such a person likes."""
        plan = brief.plan
        asked = {
            "warm": plan.tone is Tone.WARM,
            "long": plan.length is Length.LONG,
            "history": plan.history,
            "question": plan.question,
        }[self.personal]
        return asked == ((self.varied > 0) == varied)


def tastes(seed: int) -> Tastes:
    """Those of a seed."""
    drawn = random.Random(f"tastes {seed}")  # noqa: S311 - a simulation
    personal = drawn.choice(PLANNED)
    common = [name for name in (*PLANNED, *FREE) if name != personal]
    weights = {name: drawn.choice((-COMMON, COMMON)) for name in common}
    return Tastes(weights, personal, drawn.choice((-PERSONAL, PERSONAL)))
