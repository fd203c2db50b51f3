"""A recorded stream ready for many replays: read once, its catalogue encoded once.

Knows files and the frozen encoder. Does not know what is compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from streamrec.apps import clients
from streamrec.core.events import Interaction, Item
from streamrec.core.state.catalogue import Catalogue
from streamrec.lab.replay.recorded_main import read_events, read_items
from streamrec.models.encoder import TextEncoder
from streamrec.models.item_index import ItemIndex
from streamrec.models.loading import load_encoder
from streamrec.settings import load
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner

FAST = replace(LearnerConfig(), adapter=None)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Every learner made from it shares catalogue, encoder and index."""

    items: list[Item]
    events: list[Interaction]
    catalogue: Catalogue
    encoder: TextEncoder
    index: ItemIndex

    def learner(self, recipe: LearnerConfig = FAST, seed: int = 0) -> OnlineLearner:
        return OnlineLearner(self.catalogue, self.index, seed, recipe, self.encoder)


def prepare(directory: Path, events: int) -> Prepared:
    """``items.jsonl`` and the first ``events`` of ``events.jsonl`` of a directory."""
    settings = load()
    codec = clients.codec(settings)
    items = read_items(directory / "items.jsonl", codec)
    first = list(islice(read_events(directory / "events.jsonl", codec), events))
    catalogue = Catalogue()
    catalogue.put(items)
    encoder = load_encoder(settings.encoder)
    index = ItemIndex(encoder)
    index.ensure(catalogue)
    return Prepared(items, first, catalogue, encoder, index)
