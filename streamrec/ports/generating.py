"""Whoever writes replies: a language model in this process, or a server that runs one.

Knows what is asked for (a prompt, a generation, what may be written) and what comes back. Does not
know what a prompt says or what becomes of a reply.

A *slot* is where an item is named: ``[[2]]`` or ``[[A]]``, one of the labels of the ``Grammar``.
Labels that are numbers are those of the list that a reply is about.
Everything else a model writes is plain text, without the characters that a slot is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

FORBIDDEN = "[]<>{}|`#\\*_~^="
"""In plain text: what slots, the marks of chat templates and markup are made of."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """What may be written: plain text, and slots, each label once.

    ``least``: so many slots of the list there are before the end; ``most``: no more slots than
    these, of whatever kind.
    ``max_tokens``: the end included. ``forbidden``: characters that plain text has not; control
    characters it never has.
    """

    slots: tuple[str, ...]
    max_tokens: int = 40
    least: int = 1
    most: int = 3
    forbidden: str = FORBIDDEN

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most or self.max_tokens < 1:
            raise ValueError(f"{self} can be met by no reply")

    @property
    def listed(self) -> tuple[str, ...]:
        """Labels that count for ``least``."""
        return tuple(label for label in self.slots if label.isdecimal())

    @property
    def beside(self) -> tuple[str, ...]:
        """The others."""
        return tuple(label for label in self.slots if not label.isdecimal())

    @property
    def owed(self) -> int:
        """``least``, as far as there are so many."""
        return min(self.least, len(self.listed))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reply to be written.

    ``fixed``: of the prompt, what all prompts share; computed once for a generation. ``rest``:
    what follows, data: no mark of a chat template in it is read as one. Equal ``seed``, and
    everything else: the same tokens. ``temperature``: 0 takes the likeliest token every time.
    """

    fixed: str
    rest: str
    generation: str
    grammar: Grammar
    seed: int
    temperature: float = 0.7


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, slots as they stand.

    ``token_ids``: with the end, if it came (``finished``). ``log_probability``: in nats, of these
    tokens among what the grammar allowed, at the temperature they were drawn with. A server that
    does not say which tokens they were leaves these out: no ids, and None.
    """

    text: str
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    log_probability: float | None
    finished: bool


OnText = Callable[[int, str], None]
"""Called with the place of a reply among those wanted and the text that it goes on with."""


@dataclass(frozen=True, slots=True)
class GeneratorStatus:
    """``loaded``: generations that can write, in the order they came; ``writing``: replies now."""

    loaded: tuple[str, ...]
    writing: int = 0


class Generator(Protocol):
    """Writes with the generations it has loaded. Safe to call from several threads.

    A generation that is writing is never overwritten: it ends what it has begun.
    """

    def load(self, generation: str, directory: Path) -> None:
        """Make a generation ready beside the others; free when it is.

        Raises:
            GenerationRefused: it does not fit, or there is no room: retire one first.
            Unavailable: a server does not answer.
        """
        ...

    def generate(
        self, wanted: Sequence[Wanted], on_text: OnText | None = None
    ) -> Sequence[Written]:
        """All of them, together; each by its own generation.

        Raises:
            GenerationRefused: one of the generations is not loaded; nothing was written.
            Unavailable: a server does not answer.
        """
        ...

    def retire(self, generation: str) -> None:
        """Write nothing new with it; it is dropped when it is not writing. Free when unknown."""
        ...

    def status(self) -> GeneratorStatus: ...
