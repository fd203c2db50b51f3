"""The language model that writes, in this process; ``ports.Generator``.

Knows which generations are loaded, who is writing with them, and what of their prompts is kept.
Does not know how tokens are drawn (``writing``) or where generations come from: ``read`` gives the
weights of a directory, checked by whoever knows its seals.

Loading, in this order; a failure changes nothing:

1. Read and check the weights.
2. Find a place that no generation has. There are ``PLACES``.
3. Fill it, while the others write on; then say that the generation is loaded.

A generation that is retired writes to the end of what it has begun; then its place is free.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from torch import Tensor

from streamrec.errors import GenerationRefused
from streamrec.models.adapted_model import read_adapter
from streamrec.models.causal import CausalModel
from streamrec.models.pinned_lora import PinnedAdapters
from streamrec.models.writing import PromptPrefix, ReplyRow, computed_prefix, write
from streamrec.ports import GeneratorStatus, OnText, Wanted, Written

PLACES = 3
"""Generations loaded at once: the champion, a canary, and the one that takes over."""

TOGETHER = 8
"""Replies in a batch; more wait for the next."""

KEPT_PREFIXES = 4
"""Beginnings of prompts that are kept for a generation."""

Read = Callable[[Path], Mapping[str, Tensor]]
"""The adapter in a directory. Raises GenerationRefused."""


class CausalWriter:
    """Over a frozen model that others may share. Safe to call from several threads."""

    def __init__(
        self, model: CausalModel, read: Read = read_adapter, *, together: int = TOGETHER
    ) -> None:
        """``together``: replies in a batch."""
        self._base, self._together = model.base, together
        self._adapters = PinnedAdapters(model.adapted, PLACES)
        self._read = read
        self._places: dict[str, int] = {}  # generation -> place, in the order they came
        self._retired: set[str] = set()
        self._busy: Counter[str] = Counter()
        self._prefixes: dict[str, OrderedDict[tuple[int, ...], PromptPrefix]] = {}
        self._lock = threading.Lock()  # guards the five above; never held while computing
        self._loading = threading.Lock()
        self._computing = threading.Lock()

    def load(self, generation: str, directory: Path) -> None:
        """Raises GenerationRefused."""
        with self._loading:
            with self._lock:
                if generation in self._places and generation not in self._retired:
                    return
            state = self._read(directory)
            with self._lock:
                self._retired.discard(generation)
                if generation in self._places:  # it is still writing
                    return
                free = sorted({*range(PLACES)} - {*self._places.values()})
            if not free:
                raise GenerationRefused(
                    f"{PLACES} generations are loaded, {', '.join(self._places)}: retire one first"
                )
            self._adapters.fill(free[0], state)
            with self._lock:
                self._places[generation] = free[0]
                self._prefixes[generation] = OrderedDict()

    def retire(self, generation: str) -> None:
        with self._lock:
            if generation in self._places:
                self._retired.add(generation)
                self._drop_idle()

    def status(self) -> GeneratorStatus:
        with self._lock:
            loaded = tuple(name for name in self._places if name not in self._retired)
            return GeneratorStatus(loaded, self._busy.total())

    def generate(
        self, wanted: Sequence[Wanted], on_text: OnText | None = None
    ) -> Sequence[Written]:
        """Raises GenerationRefused, SettingsError."""
        with self._writing([one.generation for one in wanted]) as places:
            rows = [
                self._row(one, place, partial(on_text, i) if on_text else _nobody)
                for i, (one, place) in enumerate(zip(wanted, places, strict=True))
            ]
            for batch in self._batches(wanted, rows):
                self._write(batch)
        return [row.written(self._base) for row in rows]

    def _row(self, one: Wanted, place: int, tell: Callable[[str], None]) -> ReplyRow:
        return ReplyRow(
            prompt_ids=self._base.prompt_ids(one.fixed, one.rest),
            constraint=self._base.constraint(one.grammar),
            temperature=one.temperature,
            seed=one.seed,
            adapter=place,
            tell=tell,
        )

    def _batches(
        self, wanted: Sequence[Wanted], rows: Sequence[ReplyRow]
    ) -> Iterator[list[tuple[ReplyRow, str, tuple[int, ...]]]]:
        """Rows with their generation and what their prompt shares, which is one in a batch."""
        alike: dict[str, list[tuple[ReplyRow, str, tuple[int, ...]]]] = {}
        begins = {one.fixed: self._base.prompt_ids(one.fixed, "") for one in wanted}
        for one, row in zip(wanted, rows, strict=True):
            shared = _common(begins[one.fixed], row.prompt_ids[:-1])
            alike.setdefault(one.fixed, []).append((row, one.generation, shared))
        for group in alike.values():
            least = min((shared for _, _, shared in group), key=len)
            for start in range(0, len(group), self._together):
                chosen = group[start : start + self._together]
                yield [(row, generation, least) for row, generation, _ in chosen]

    def _write(self, batch: Sequence[tuple[ReplyRow, str, tuple[int, ...]]]) -> None:
        with self._computing:
            prefixes = [self._prefix(name, row.adapter, ids) for row, name, ids in batch]
            rows = [row for row, _, _ in batch]
            write(self._adapters, self._base, rows, prefixes)

    def _prefix(self, generation: str, place: int, ids: tuple[int, ...]) -> PromptPrefix:
        """Kept for the generation, or computed; called while computing."""
        if not ids:
            return PromptPrefix((), ())
        kept = self._prefixes[generation]
        if ids not in kept:
            kept[ids] = computed_prefix(self._adapters, place, ids)
            if len(kept) > KEPT_PREFIXES:
                kept.popitem(last=False)
        kept.move_to_end(ids)
        return kept[ids]

    @contextmanager
    def _writing(self, generations: Sequence[str]) -> Iterator[list[int]]:
        """Their places, which are theirs until the end of it."""
        with self._lock:
            unknown = sorted({*generations} - ({*self._places} - self._retired))
            if unknown:
                raise GenerationRefused(f"not loaded: {', '.join(unknown)}")
            self._busy.update(generations)
            places = [self._places[name] for name in generations]
        try:
            yield places
        finally:
            with self._lock:
                self._busy.subtract(generations)
                self._drop_idle()

    def _drop_idle(self) -> None:
        """Free the places of those retired that are not writing; called with the lock held."""
        for name in [name for name in self._retired if not self._busy[name]]:
            self._retired.discard(name)
            del self._places[name], self._prefixes[name]


def _common(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """What both begin with."""
    differ = (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return one[: next(differ, min(len(one), len(other)))]


def _nobody(_: str) -> None:
    """Whom a reply is told while it is written."""
