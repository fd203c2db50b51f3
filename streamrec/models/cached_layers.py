"""The layers that never change, run once per text.

An adapter on the last k layers leaves everything below them as it was, so the activations
that enter the lowest adapted layer are a function of the text alone. They are computed
once and kept; training steps and re-encoding then pay for the adapted layers only.

Knows how to cut a transformer in two, for the layouts in ``LAYOUTS``. A cut is trusted
only after ``same_output`` has seen it agree with the uncut model; any other model runs
whole. Does not know about adapters, pooling or items.

Shapes: B texts, T tokens (padded on the right), H hidden units.
"""

from __future__ import annotations

import copy
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

FULL = 0.9
"""Share of its memory from which on a cache counts as full."""


class _Passthrough(nn.Module):
    """Stands where the embeddings were: the activations are already embedded."""

    def forward(self, *given: Tensor | None, **named: Tensor | None) -> Tensor:
        embedded = named.get("inputs_embeds")
        if embedded is None:  # DistilBERT hands it over by position, after the ids it lacks
            embedded = next(tensor for tensor in given if tensor is not None)
        return embedded


class _NoPositions(nn.Module):
    """Stands where learned positions were: the lower half has added them."""

    def forward(self, position_ids: Tensor) -> Tensor:
        return torch.zeros((*position_ids.shape, 1), device=position_ids.device)


@dataclass(frozen=True, slots=True)
class Layout:
    """Dotted names of the parts of a transformer that a cut touches."""

    layers: str
    entry: str | None = None  # what turns ids into activations beyond a plain lookup
    norm: str | None = None  # what follows the last layer


LAYOUTS = (
    Layout("encoder.layer", entry="embeddings"),  # BERT, RoBERTa, ELECTRA …
    Layout("transformer.layer", entry="embeddings"),  # DistilBERT
    Layout("layers", norm="norm"),  # Llama, Qwen, Mistral …
    Layout("h", entry="wpe", norm="ln_f"),  # GPT-2
)


@dataclass(frozen=True, slots=True)
class Cut:
    """``upper(inputs_embeds=lower(input_ids))`` equals the whole model.

    Both halves are shells around the model's own layers: no weight is copied.
    """

    lower: nn.Module
    upper: nn.Module


def layout_of(model: nn.Module) -> Layout | None:
    for layout in LAYOUTS:
        if isinstance(_get(model, layout.layers), nn.ModuleList) and all(
            _get(model, name) is not None for name in (layout.entry, layout.norm) if name
        ):
            return layout
    return None


def cut(model: nn.Module, first: int) -> Cut | None:
    """The model below and from layer ``first`` on; None for an unknown layout."""
    layout = layout_of(model)
    if layout is None:
        return None
    layers = list(_get(model, layout.layers).children())  # type: ignore[union-attr]
    lower = _replaced(model, layout.layers, nn.ModuleList(layers[:first]))
    upper = _replaced(model, layout.layers, nn.ModuleList(layers[first:]))
    if layout.norm:
        lower = _replaced(lower, layout.norm, nn.Identity())
    if layout.entry:
        entry = _NoPositions() if layout.entry == "wpe" else _Passthrough()
        upper = _replaced(upper, layout.entry, entry)
    return Cut(lower, upper)


@torch.no_grad()
def same_output(model: nn.Module, halves: Cut, tolerance: float = 1e-2) -> bool:
    """Whether the cut gives the whole model's output on a padded probe of two texts."""
    parameter = next(model.parameters())
    ids_BT = torch.arange(1, 13, device=parameter.device).reshape(2, 6)
    mask_BT = torch.ones_like(ids_BT)
    mask_BT[1, 4:] = 0
    try:
        whole = model(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
        middle = halves.lower(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
        again = halves.upper(inputs_embeds=middle, attention_mask=mask_BT).last_hidden_state
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError):
        return False
    kept = mask_BT.bool()
    difference = (whole[kept].float() - again[kept].float()).norm()
    return bool(difference <= tolerance * whole[kept].float().norm())


class ActivationCache:
    """Activations of texts, up to ``max_bytes``. Safe to share between threads.

    A catalogue is read from end to end, again and again. Least-recently-used eviction would
    then lose every row just before it is needed, so a full cache gives up a random one.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._rows: dict[str, Tensor] = {}
        self._texts: list[str] = []  # the keys, for picking one
        self._random = random.Random(0)  # noqa: S311 - eviction, not secrets
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def full(self) -> bool:
        """Whether more rows would drive out others before long."""
        return self._bytes >= FULL * self._max_bytes

    def get(self, texts: Sequence[str]) -> list[Tensor | None]:
        """(T, H) of each text, or None where it must be computed."""
        with self._lock:
            return [self._rows.get(text) for text in texts]

    def put(self, text: str, row_TH: Tensor) -> None:
        with self._lock:
            if text in self._rows or row_TH.nbytes > self._max_bytes:
                return
            while self._bytes + row_TH.nbytes > self._max_bytes:
                self._evict()
            self._rows[text] = row_TH
            self._texts.append(text)
            self._bytes += row_TH.nbytes

    def _evict(self) -> None:
        place = self._random.randrange(len(self._texts))
        text, last = self._texts[place], self._texts.pop()
        if text != last:
            self._texts[place] = last
        self._bytes -= self._rows.pop(text).nbytes


def padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Rows (T_i, ...) of one batch as (B, T, ...), with the mask (B, T) of what is real."""
    lengths, device = [len(row) for row in rows], rows[0].device
    lengths_B1 = torch.tensor(lengths, device=device).unsqueeze(1)
    mask_BT = torch.arange(max(lengths), device=device) < lengths_B1
    return pad_sequence(list(rows), batch_first=True), mask_BT.long()


def _get(model: nn.Module, name: str) -> nn.Module | None:
    part: object = model
    for attribute in name.split("."):
        part = getattr(part, attribute, None)
    return part if isinstance(part, nn.Module) else None


def _replaced(model: nn.Module, name: str, part: nn.Module) -> nn.Module:
    """A shell around the same parts, with one of them exchanged."""
    shell = copy.copy(model)
    shell._modules = dict(model._modules)
    head, _, rest = name.partition(".")
    child = model._modules[head]
    if rest and child is not None:
        part = _replaced(child, rest, part)
    shell._modules[head] = part
    return shell
