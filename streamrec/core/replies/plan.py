"""What a reply is asked to be: tone, length, history, items named, question or statement.

Knows the plans that there are, and the words in which a prompt asks for one. Does not know who
chooses among them (``plan_bandit``) or what a prompt says beside that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import product

MOST_NAMED = 3


class Tone(StrEnum):
    PLAIN = "plain"
    WARM = "warm"


class Length(StrEnum):
    SHORT = "short"
    LONG = "long"


@dataclass(frozen=True, slots=True)
class Plan:
    """``history``: mention something that the user had before. ``named``: items of the list, 1 to
    ``MOST_NAMED``. ``question``: end with one.
    """

    tone: Tone = Tone.PLAIN
    length: Length = Length.SHORT
    history: bool = False
    named: int = 1
    question: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.named <= MOST_NAMED:
            raise ValueError(f"a plan names 1 to {MOST_NAMED} items, not {self.named}")

    @property
    def phrase(self) -> str:
        """As a prompt asks for it. An adapter learns what these words mean: changing one makes
        every adapter worse."""
        return (
            f"Tone: {self.tone}. Length: {self.length}. "
            f"History: {'yes' if self.history else 'no'}. Items: {self.named}. "
            f"End: {'question' if self.question else 'statement'}."
        )


PLANS: tuple[Plan, ...] = tuple(
    Plan(tone, length, history, 1 if length is Length.SHORT else 2, question)
    for tone, length, history, question in product(Tone, Length, (False, True), (False, True))
)
"""The arms: every combination, but that a short reply names one item and a long one two. An
example names its plan by its place here: places never change."""
