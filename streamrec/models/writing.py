"""Replies drawn in this process, those of several generations in one batch.

Knows tokens, drawing under a grammar, and how rows run together. Does not know where generations
lie (``writer``), nor what a prompt says.

A row is drawn with a random generator of its own, so its company changes nothing but the last bits
of what is computed. What all prompts begin with is computed once for a generation and kept.

Shapes: B rows, P tokens of the shared beginning, R of what follows (padded on the left), V tokens
of the vocabulary; K heads and D dimensions of a key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from streamrec.models.causal import LOWEST, CausalBase
from streamrec.models.constraint import START, Constraint, PlaceInReply
from streamrec.models.pinned_lora import PinnedAdapters
from streamrec.ports import Written


@dataclass(frozen=True, slots=True, eq=False)
class PromptPrefix:
    """What a prompt begins with, as one adapter has computed it."""

    ids: tuple[int, ...]
    layers: Sequence[tuple[Tensor, Tensor]]  # keys and values, (1, K, P, D) each


@dataclass(slots=True, eq=False)
class ReplyRow:
    """A reply being written. ``adapter``: the place of its adapter."""

    prompt_ids: tuple[int, ...]
    constraint: Constraint
    temperature: float
    seed: int
    adapter: int
    tell: Callable[[str], None] = lambda _: None
    tokens: list[int] = field(default_factory=list)
    log_probability: float = 0.0
    _told: int = 0
    _place: PlaceInReply = START
    _random: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._random = torch.Generator().manual_seed(self.seed)

    @property
    def finished(self) -> bool:
        return bool(self.tokens) and self.constraint.ends(self.tokens[-1])

    @property
    def over(self) -> bool:
        return self.finished or len(self.tokens) >= self.constraint.max_tokens

    def take(self, logits_V: Tensor) -> int:
        """Draw the next token among those allowed: the largest of log p plus Gumbel noise."""
        allowed_V = self.constraint.allowed(self._place)
        masked_V = logits_V.masked_fill(~allowed_V, LOWEST)
        if self.temperature > 0:
            log_V = (masked_V / self.temperature).log_softmax(-1)
            waits_V = torch.empty(log_V.shape).exponential_(generator=self._random)
            token = int((log_V - waits_V.log()).argmax())
            self.log_probability += float(log_V[token])
        else:
            token = int(masked_V.argmax())
        self.tokens.append(token)
        self._place = self.constraint.after(self._place, token)
        return token

    def say(self, base: CausalBase) -> None:
        """Tell what is new, as far as it can be read: no open slot, no half of a letter."""
        if self._place.path and not self.over:
            return
        text = base.text(self.tokens)
        if text.endswith("\N{REPLACEMENT CHARACTER}") and not self.over:
            return
        if text[self._told :]:
            self.tell(text[self._told :])
            self._told = len(text)

    def written(self, base: CausalBase) -> Written:
        return Written(
            text=base.text(self.tokens),
            prompt_ids=self.prompt_ids,
            token_ids=tuple(self.tokens),
            log_probability=self.log_probability,
            finished=self.finished,
        )


@torch.no_grad()
def computed_prefix(adapters: PinnedAdapters, place: int, ids: tuple[int, ...]) -> PromptPrefix:
    """By the adapter in this place."""
    cache: Any = DynamicCache()
    adapters.pin([place])
    adapters.model(
        input_ids=torch.tensor([ids], device=adapters.device),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return PromptPrefix(ids, [(layer.keys, layer.values) for layer in cache.layers])


@torch.no_grad()
def write(
    adapters: PinnedAdapters,
    base: CausalBase,
    rows: Sequence[ReplyRow],
    prefixes: Sequence[PromptPrefix],
) -> None:
    """Write all rows to their end. ``prefixes``: of each row, all of one length, which may be 0;
    no prompt is a prefix alone."""
    running = list(rows)
    cache = _stacked(prefixes)
    logits_BV, mask_BS = _read(adapters, running, len(prefixes[0].ids), cache)
    while True:
        drawn = [row.take(logits_V) for row, logits_V in zip(running, logits_BV, strict=True)]
        for row in running:
            row.say(base)
        going = [i for i, row in enumerate(running) if not row.over]
        if not going:
            return
        if len(going) < len(running):
            running = [running[i] for i in going]
            cache.batch_select_indices(torch.tensor(going, device=adapters.device))
            mask_BS = mask_BS[going]
            adapters.pin([row.adapter for row in running])
        mask_BS = nn.functional.pad(mask_BS, (0, 1), value=1)
        out = adapters.model(
            input_ids=torch.tensor([[drawn[i]] for i in going], device=adapters.device),
            attention_mask=_needed(mask_BS),
            position_ids=(mask_BS.sum(dim=1, keepdim=True) - 1),
            past_key_values=cache,
            use_cache=True,
        )
        logits_BV = out.logits[:, -1].float().cpu()


def _read(
    adapters: PinnedAdapters, rows: Sequence[ReplyRow], shared: int, cache: DynamicCache
) -> tuple[Tensor, Tensor]:
    """The prompts behind what is shared: logits (B, V) of what follows, and the mask so far."""
    device = adapters.device
    rests = [row.prompt_ids[shared:] for row in rows]
    longest = max(map(len, rests))
    ids_BR = torch.tensor([(0,) * (longest - len(rest)) + rest for rest in rests], device=device)
    mask_BS = torch.ones(len(rows), shared + longest, dtype=torch.long, device=device)
    for row, rest in enumerate(rests):
        mask_BS[row, shared : shared + longest - len(rest)] = 0
    positions_BS = (mask_BS.cumsum(dim=1) - 1).clamp(min=0)
    adapters.pin([row.adapter for row in rows])
    out = adapters.model(
        input_ids=ids_BR,
        attention_mask=_needed(mask_BS),
        position_ids=positions_BS[:, shared:],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return out.logits[:, -1].float().cpu(), mask_BS


def _stacked(prefixes: Sequence[PromptPrefix]) -> DynamicCache:
    """What the rows share, each as its own adapter has computed it."""
    cache = DynamicCache()
    for layer, _ in enumerate(prefixes[0].layers):
        keys_BKPD = torch.cat([prefix.layers[layer][0] for prefix in prefixes])
        values_BKPD = torch.cat([prefix.layers[layer][1] for prefix in prefixes])
        cache.update(keys_BKPD, values_BKPD, layer)
    return cache


def _needed(mask_BS: Tensor) -> Tensor | None:
    """A mask that hides nothing is none."""
    return None if bool(mask_BS.all()) else mask_BS
