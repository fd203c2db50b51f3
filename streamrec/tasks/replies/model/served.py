"""Replies' generations in memory, ready to choose plans and to write.

A generation is checked, and its bandit read, when it is staged; its adapter is put in one of the
writer's places when it first writes. Few write at a time, a champion and its canary; more are kept
warm than a writer has places. The writer is in this process, or a server that is handed what was
checked here; one that is away is no reason not to stage.

Knows generations and a writer. Does not know what a reply is (``tasks.replies.answerer``).
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import GenerationRefused, Unavailable
from streamrec.models.causal import CausalModel
from streamrec.models.generation import with_adapter_of
from streamrec.models.hotswap import Loaded, WarmGenerations
from streamrec.models.signing import EVERYBODY, Signers
from streamrec.models.writer import PLACES, CausalWriter
from streamrec.ports import Generator, OnText, Wanted, Written
from streamrec.tasks.replies.model.generations import RepliesGenerations, believed
from streamrec.tasks.replies.reply_model import ReplyModel

log = logging.getLogger(__name__)


class WriterPlaces:
    """Those that wrote last have a place. Safe to call from several threads."""

    def __init__(self, generator: Generator, places: int = PLACES) -> None:
        self._generator, self._places = generator, places
        self._placed: OrderedDict[str, None] = OrderedDict()  # the one that wrote last is last
        self._lock = threading.Lock()

    def write(
        self, generation: str, directory: Path, wanted: Sequence[Wanted], on_text: OnText | None
    ) -> Sequence[Written]:
        """Raises GenerationRefused, Unavailable."""
        self.place(generation, directory)
        return self._generator.generate(wanted, on_text)

    def place(self, generation: str, directory: Path) -> None:
        """Make room for it, and fill it. Raises GenerationRefused, Unavailable."""
        with self._lock:
            if generation not in self._placed:
                while len(self._placed) >= self._places:
                    oldest, _ = self._placed.popitem(last=False)
                    self._generator.retire(oldest)
                self._generator.load(generation, directory)
            self._placed[generation] = None
            self._placed.move_to_end(generation)


class _Writing(NamedTuple):
    model: CausalModel
    generations: RepliesGenerations
    places: WriterPlaces


def served_replies(
    load_model: Callable[[], CausalModel],
    signers: Signers = EVERYBODY,
    server: Generator | None = None,
) -> WarmGenerations[ReplyModel]:
    """The language model is loaded with the first generation: until then templates speak.

    ``server``: writes in the place of that model, which then checks what the server is handed.
    """

    @cache
    def base() -> _Writing:
        model = load_model()
        generations = RepliesGenerations(model, {}, signers=signers)
        writer = server or CausalWriter(model, lambda path: generations.read(path).adapter)
        return _Writing(model, generations, WriterPlaces(writer))

    def load(
        generation: str, directory: Path, _: Catalogue, warm: Sequence[Loaded[Any]]
    ) -> Loaded[ReplyModel]:
        model, generations, places = base()
        read = generations.read(directory)
        with_adapter_of(read, model)
        if read.manifest.generation != generation:
            raise GenerationRefused(
                f"{directory} says it is {read.manifest.generation}, not {generation}"
            )
        if len(warm) < PLACES - 1:
            try:
                places.place(generation, directory)
            except Unavailable as error:
                log.warning("%s is loaded when it first writes: %s", generation, error)
        write = partial(places.write, generation, directory)
        through = read.manifest.trained_through
        return Loaded(ReplyModel(generation, through, believed(read).choose, write))

    return WarmGenerations(load)
