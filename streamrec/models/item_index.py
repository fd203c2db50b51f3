"""The catalogue as vectors of one encoder version.

Knows which text stands for an item and keeps one centred unit vector per catalogue row,
encoding only what is missing or changed. Does not know users, scores or generations.

Two indexes agree if and only if their ``key`` does: encoder version and centre. The centre
is learned once, from the first ``CENTRE_ITEMS`` items or more, and then never moves; a
generation carries it (``centre``) so that serving ranks exactly what the trainer trained.
Until it is learned, all vectors may still change: nobody else's index agrees with this one.

Threads may build (``ensure``, one at a time) while any number read ``view``: they see whole
rows, of one centre. A catalogue that others write meanwhile is built from as it was
(``RowsThen``).

Shapes: N catalogue rows, D dimensions.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from streamrec.core.events import Item
from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import GenerationRefused
from streamrec.models.dot_rows import DotRows
from streamrec.models.encoder import TextEncoder
from streamrec.models.nearest_items import NearestItems

QUERIES_KEPT = 8_192
"""Texts of queries whose vectors are kept: one is read for several models and moments."""
CENTRE_ITEMS = 256
"""Fewer items than this say little about what all items share; the centre stays zero."""


class RowsThen:
    """A catalogue as it was, for a thread that must not see it change."""

    def __init__(self, rows: Catalogue) -> None:
        self.version = rows.version
        self._items = [rows.item(row) for row in range(len(rows))]

    def __len__(self) -> int:
        return len(self._items)

    def item(self, row: int) -> Item:
        return self._items[row]

    def changed_since(self, version: int) -> list[int]:
        """All rows: an index starts from nothing or from what is there."""
        return [] if version == self.version else list(range(len(self)))


Rows = Catalogue | RowsThen
"""What an index is built from."""


def item_text(item: Item) -> str:
    """What the language model reads of an item: title, categories, text.

    The encoder cuts it at ``max_tokens``; the order puts what says most first.
    """
    parts = (item.title, ", ".join(item.categories), item.text)
    return ". ".join(part.strip() for part in parts if part.strip())


def centred(vectors_ND: Tensor, centre_D: Tensor) -> Tensor:
    """Unit vectors with what all items share taken out. A zero vector stays zero.

    Differentiable: the trainer applies it to ``TextEncoder.embed``.
    """
    empty_N1 = (vectors_ND == 0).all(dim=-1, keepdim=True)
    return functional.normalize(vectors_ND - centre_D, dim=-1).masked_fill(empty_N1, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class IndexView:
    """What a reader sees of an index at one moment; it never changes."""

    vectors: Tensor  # (N, D) float32, each row of length one, or zero for an item without text
    centre: Tensor  # (D,) subtracted before; zero until enough items are known
    dots: DotRows  # of the vectors; it remembers, and is for the thread that ranks
    nearest: NearestItems | None = None  # of the same rows, once it is kept (``keep_nearest``)


Reads = Callable[[Sequence[str]], Tensor]
"""Texts as unit vectors: (len(texts), D)."""


class Vectors(ABC):
    """Vectors by catalogue row: all that learning the head alone asks of an index."""

    @property
    @abstractmethod
    def vectors(self) -> Tensor: ...

    @property
    @abstractmethod
    def dots(self) -> DotRows:
        """Of the vectors; it remembers."""

    @property
    def reads(self) -> Reads | None:
        """Texts as vectors to compare with the items', where there is somebody to read them."""
        return None

    @abstractmethod
    def ensure(self, catalogue: Catalogue) -> int:
        """Encode rows that are missing or whose text changed; returns how many."""


class FixedVectors(Vectors):
    """Those that another process has made of all items there will be, and of texts."""

    def __init__(self, vectors_ND: Tensor, read: Mapping[str, Tensor] | None = None) -> None:
        """``read``: vectors (D,) of texts."""
        self._dots, self._read = DotRows(vectors_ND), read or {}

    @property
    def reads(self) -> Reads | None:
        return self._found if self._read else None

    def _found(self, texts: Sequence[str]) -> Tensor:
        return torch.stack([self._read[text] for text in texts])

    @property
    def vectors(self) -> Tensor:
        return self._dots.vectors_ND

    @property
    def dots(self) -> DotRows:
        return self._dots

    def ensure(self, catalogue: Catalogue) -> int:
        """None ever. Raises ValueError for a catalogue of more rows."""
        if len(catalogue) > len(self.vectors):
            raise ValueError(f"{len(catalogue)} items, and vectors of {len(self.vectors)}")
        return 0


class ItemIndex(Vectors):
    """Vectors of one encoder version by catalogue row."""

    def __init__(self, encoder: TextEncoder, centre: Tensor | None = None) -> None:
        """``centre``: (D,) of a published generation; without it, it is learned here."""
        self._encoder = encoder
        self._building, self._reading = threading.Lock(), threading.Lock()
        self.encoder_version = encoder.encoder_version
        self._fixed = centre is not None
        self._texts: list[str] = []  # what each row was encoded from
        self._buffer_MD = torch.zeros(0, encoder.dim)
        start_D = torch.zeros(encoder.dim) if centre is None else centre.detach().float().clone()
        self._view = IndexView(self._buffer_MD, start_D, DotRows(self._buffer_MD))
        self._seen_version = 0
        self._nearest_from: int | None = None
        self._nobody = uuid.uuid4().hex[:8]
        self._queries: dict[str, Tensor] = {}  # as encoded, oldest first

    @property
    def view(self) -> IndexView:
        """Vectors and centre that belong together. Ask again to see newer rows."""
        return self._view

    @property
    def vectors(self) -> Tensor:
        return self._view.vectors

    @property
    def dots(self) -> DotRows:
        return self._view.dots

    @property
    def centre(self) -> Tensor:
        return self._view.centre

    @property
    def settled(self) -> bool:
        """Whether the centre is known, so that vectors stay as they are."""
        return self._fixed

    @property
    def key(self) -> str:
        """Equal keys: same encoder version, same centre, interchangeable vectors, for ever."""
        if not self.settled:
            return f"{self.encoder_version}-unsettled-{self._nobody}"
        centre = hashlib.sha256(self.centre.numpy().tobytes()).hexdigest()[:8]
        return f"{self.encoder_version}-{centre}"

    def __len__(self) -> int:
        return len(self.vectors)

    def keep_nearest(self, least: int) -> None:
        """From ``least`` rows on, have the nearest items at hand: now, and after every ``ensure``.

        The first time, and when the catalogue has doubled, that takes as long as some seconds for
        100,000 items; readers have the former ones meanwhile.
        """
        with self._building:
            self._nearest_from = least
            self._renew_nearest()

    def _renew_nearest(self) -> None:
        view, least = self._view, self._nearest_from
        if least is None or len(view.vectors) < max(1, least):
            return
        if view.nearest is None or view.nearest.outgrown:
            self._view = replace(view, nearest=NearestItems(view.vectors))

    @property
    def reads(self) -> Reads:
        return self.encode_queries

    def encode_queries(self, texts: Sequence[str]) -> Tensor:
        """Texts as vectors to compare with ``vectors``: (len(texts), D), centred, unit length."""
        with self._reading:
            kept = {text: self._queries[text] for text in texts if text in self._queries}
        missing = [text for text in dict.fromkeys(texts) if text not in kept]
        if missing:
            kept |= dict(zip(missing, self._encoder.encode(missing), strict=True))
            self._keep(missing, kept)
        found_QD = [kept[text] for text in texts]
        raw_QD = torch.stack(found_QD) if found_QD else torch.zeros(0, self._encoder.dim)
        return centred(raw_QD, self.centre)

    def _keep(self, texts: Sequence[str], vectors: Mapping[str, Tensor]) -> None:
        with self._reading:
            self._queries |= {text: vectors[text] for text in texts}
            for text in list(self._queries)[: max(0, len(self._queries) - QUERIES_KEPT)]:
                del self._queries[text]

    def ensure(self, catalogue: Rows, stop: threading.Event | None = None) -> int:
        """Encode rows that are missing or whose text changed; returns how many.

        Raises:
            CancelledError: ``stop`` was set meanwhile; the index is as it was.
            GenerationRefused: the encoder gives values that are not finite, or its adapter
                has changed since this index was made; the index is as it was.
        """
        with self._building:
            return self._ensure(catalogue, stop)

    def _ensure(self, catalogue: Rows, stop: threading.Event | None) -> int:
        version = catalogue.version
        if version == self._seen_version:
            return 0
        if self._encoder.encoder_version != self.encoder_version:
            raise GenerationRefused(
                f"the encoder has moved on from version {self.encoder_version}: build a new index"
            )
        changed = {
            row: item_text(catalogue.item(row))
            for row in catalogue.changed_since(self._seen_version)
        }
        stale = {row: text for row, text in changed.items() if self._text(row) != text}
        if stale:
            self._encode(stale, stop)
            self._renew_nearest()
        self._seen_version = version
        return len(stale)

    def _text(self, row: int) -> str | None:
        """What the row was encoded from; None for a new row."""
        return self._texts[row] if row < len(self._texts) else None

    def _encode(self, stale: dict[int, str], stop: threading.Event | None) -> None:
        """Order: encode everything, learn the centre if due, write rows, publish the view."""
        vectors_SD = self._encoder.encode_items(list(stale.values()), stop)
        if not bool(torch.isfinite(vectors_SD).all()):
            raise GenerationRefused(
                f"encoder version {self.encoder_version} gives values that are not finite"
            )
        empty_S = torch.tensor([not text for text in stale.values()])
        vectors_SD[empty_S] = 0.0
        count = max(len(self._texts), max(stale) + 1)
        texts = self._texts + [""] * (count - len(self._texts))
        for row, text in stale.items():
            texts[row] = text
        known = sum(1 for text in texts if text)
        if not self._fixed and known >= CENTRE_ITEMS:
            self._learn_centre(texts, stale, vectors_SD)
        else:
            self._write(list(stale), vectors_SD, self.centre, count)
        self._texts = texts

    def _learn_centre(self, texts: list[str], stale: dict[int, str], vectors_SD: Tensor) -> None:
        """The mean of all items with text, once; rows written before are written again."""
        rows = [row for row, text in enumerate(texts) if text and row not in stale]
        earlier_RD = self._encoder.encode_items([texts[row] for row in rows])
        raw_ND = torch.zeros(len(texts), self._encoder.dim)
        raw_ND[list(stale)] = vectors_SD
        raw_ND[rows] = earlier_RD
        has_text_N = torch.tensor([bool(text) for text in texts])
        self._fixed = True
        centre_D = raw_ND[has_text_N].mean(dim=0)
        self._write(list(range(len(texts))), raw_ND, centre_D, len(texts))

    def _write(self, rows: list[int], vectors_SD: Tensor, centre_D: Tensor, count: int) -> None:
        published = len(self.vectors)
        buffer_MD = self._buffer_MD
        if count > len(buffer_MD) or min(rows) < published:  # readers keep the old buffer
            capacity = max(count, 2 * published if count > len(buffer_MD) else len(buffer_MD))
            buffer_MD = torch.zeros(capacity, self._encoder.dim)
            buffer_MD[:published] = self.vectors
        buffer_MD[rows] = centred(vectors_SD, centre_D)
        self._buffer_MD = buffer_MD
        vectors_ND = buffer_MD[:count]
        nearest = self._view.nearest
        self._view = IndexView(vectors_ND, centre_D, DotRows(vectors_ND), nearest)
        if nearest is not None:  # a row that is found before its vector is there counts as far
            nearest.put(rows, vectors_ND[rows])
