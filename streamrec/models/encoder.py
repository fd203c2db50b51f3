"""Item text to vector: a frozen language model with a small trainable adapter.

Knows texts and vectors. Does not know where weights come from (``loading``), items, users, or
what the vectors are compared to.

Several ``TextEncoder`` objects can stand on one frozen base (``with_adapter``): the one in
training, the champion's, the one being staged. They share every frozen weight and the
activations below the adapted layers, and nothing that changes: one may be loaded with new
weights while another encodes.

Shapes: B, N texts, T tokens (padded on the right), D dimensions.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from streamrec.models.adapted_model import AdaptedModel, FrozenBase, dtype_of
from streamrec.models.cached_layers import ActivationCache, cut, padded
from streamrec.models.lora import Adapted, state_digest
from streamrec.models.pooling import pooled
from streamrec.models.vector_cache import VectorCache
from streamrec.settings import Pooling

BATCH_TEXTS = {"cpu": 16}  # of one length; more wastes more where lengths differ
BATCH_TEXTS_ELSEWHERE = 64

CHARS_A_TOKEN = 128
"""So much of a text is split into tokens for each that is kept: more than any language needs. The
whole of a text of a million characters takes seconds, in which nobody is answered."""


@dataclass(frozen=True, slots=True)
class Base(FrozenBase):
    """What all encoders over one frozen model share. Nothing in it depends on an adapter."""

    pooling: Pooling
    max_tokens: int
    prompt: str  # before every text; part of its tokens
    tokenizer: Any
    tokenizer_lock: threading.Lock
    lower: nn.Module | None  # None: the model runs whole
    cache: ActivationCache
    kept: VectorCache | None = None  # vectors of items on disk; None: they are encoded anew

    def tokens(self, texts: Sequence[str]) -> list[Tensor]:
        """Token ids (T_i,) of each text; at least one token, at most ``max_tokens``."""
        longest = self.max_tokens * CHARS_A_TOKEN
        with self.tokenizer_lock:
            ids = self.tokenizer(
                [self.prompt + text[:longest] for text in texts],
                truncation=True,
                max_length=self.max_tokens,
                return_attention_mask=False,
                return_token_type_ids=False,
            )["input_ids"]
        filler = self.tokenizer.eos_token_id or 0
        return [torch.tensor(row or [filler], device=self.device) for row in ids]

    def alike(self, tokens: Sequence[Tensor]) -> Iterator[list[int]]:
        """Places of texts that have one length, in batches of one size.

        A batch that lacks texts repeats its last one. So every text is computed in the same
        shapes whatever its company, and comes out the same to the last bit (docs/adr/0090).
        """
        size = BATCH_TEXTS.get(self.device.type, BATCH_TEXTS_ELSEWHERE)
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        for _, group in groupby(order, key=lambda i: len(tokens[i])):
            places = list(group)
            for start in range(0, len(places), size):
                chosen = places[start : start + size]
                yield chosen + chosen[-1:] * (size - len(chosen))

    def unknown(self, texts: Sequence[str]) -> list[str]:
        """Those whose activations are not kept, in a certain order."""
        rows = self.cache.get(texts)
        return sorted({text for text, row in zip(texts, rows, strict=True) if row is None})

    @torch.no_grad()
    def activations(self, texts: Sequence[str]) -> list[Tensor]:
        """What enters the lowest adapted layer, (T_i, H) of each text; computed once."""
        assert self.lower is not None  # noqa: S101 - callers look first
        rows = self.cache.get(texts)
        if missing := self.unknown(texts):
            tokens, fresh = self.tokens(missing), {}
            for chosen in self.alike(tokens):
                ids_BT, mask_BT = padded([tokens[i] for i in chosen])
                hidden_BTH = self.lower(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
                for i, hidden_TH in zip(chosen, hidden_BTH, strict=True):
                    fresh[missing[i]] = hidden_TH.clone()
            for text, row_TH in fresh.items():
                self.cache.put(text, row_TH)
            rows = [
                fresh[text] if row is None else row for text, row in zip(texts, rows, strict=True)
            ]
        return [row for row in rows if row is not None]


class TextEncoder(AdaptedModel):
    """Texts to unit vectors, with one adapter's weights, which do not change under an encode()."""

    _base: Base

    def __init__(self, base: Base, adapted: Adapted) -> None:
        super().__init__(base, adapted)
        halves = cut(adapted.transformer, adapted.first_adapted) if base.lower else None
        self._upper = halves.upper if halves else None
        self._upper_dtype = dtype_of(self._upper or adapted.transformer)

    @property
    def pooling(self) -> Pooling:
        """How token vectors become one; never ``AUTO``."""
        return self._base.pooling

    @property
    def frozen_dtype(self) -> torch.dtype:
        """What the frozen layers compute in; trainable tensors are float32."""
        return dtype_of(self._base.lower or self.adapted.transformer)

    @property
    def encoder_version(self) -> str:
        """Two encoders with the same version give the same vectors (up to rounding).

        On one machine, with one number of threads, to the last bit (docs/adr/0090).
        """
        base = self._base
        parts = [
            base.digest,
            base.pooling,
            str(base.max_tokens),
            self.adapted.signature,
            state_digest(self.adapter_state()),
        ]
        if base.prompt:
            parts.append(base.prompt)
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]

    def encode(self, texts: Sequence[str], stop: threading.Event | None = None) -> Tensor:
        """Unit vectors (N, D), float32, on the CPU, without gradients; any number of texts.

        Raises:
            CancelledError: ``stop`` was set meanwhile.
        """
        vectors_ND = torch.zeros(len(texts), self.dim, dtype=torch.float32)
        for chosen in self._base.alike(self._base.tokens(texts) if texts else []):
            if stop is not None and stop.is_set():
                raise CancelledError
            with torch.no_grad(), self._lock:
                vectors_ND[chosen] = self._vectors([texts[i] for i in chosen]).cpu()
        return vectors_ND

    def encode_items(self, texts: Sequence[str], stop: threading.Event | None = None) -> Tensor:
        """As ``encode``, for texts that will be wanted again: what is on disk is not computed."""
        kept, device = self._base.kept, self._base.device
        if kept is None:
            return self.encode(texts, stop)
        number = str(self._upper_dtype).removeprefix("torch.")
        name = f"{self.encoder_version}-{device.type}-{number}"
        return kept.encode(name, texts, self.encode, stop)

    def warm(self, texts: Sequence[str]) -> None:
        """Keep what enters the trained layers, as long as there is room for it.

        ``encode`` begins there, whatever the adapter.
        """
        base, cache = self._base, self._base.cache
        if self.splits and not cache.full:
            unknown = base.unknown(texts)
            for chosen in base.alike(base.tokens(unknown) if unknown else []):
                if cache.full:
                    return
                base.activations([unknown[i] for i in chosen])

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (B, D), float32, on the encoder's device, with gradients through the
        adapter. One batch: the caller chooses its size."""
        return self._vectors(texts)

    def hidden_states(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """What enters the trained layers (B, T, H), and the mask (B, T) of what is real.

        Cached activations, or the embedded tokens of a model that runs whole; the caller may
        change them. At least one text. ``forward`` makes vectors of them.
        """
        if self._upper is not None:
            hidden_BTH, mask_BT = padded(self._base.activations(texts))
            return hidden_BTH.to(self._upper_dtype), mask_BT
        ids_BT, mask_BT = padded(self._base.tokens(texts))
        model = self.adapted.transformer
        embed: nn.Module = model.get_input_embeddings()  # type: ignore[operator]
        return embed(ids_BT), mask_BT

    def forward(self, hidden_BTH: Tensor, mask_BT: Tensor) -> Tensor:
        """Unit vectors (B, D), float32, with gradients; ``embed`` in two halves."""
        model = self._upper if self._upper is not None else self.adapted.root
        out = model(inputs_embeds=hidden_BTH, attention_mask=mask_BT)
        return pooled(out.last_hidden_state, mask_BT, self._base.pooling)

    @property
    def cached_texts(self) -> int:
        """Texts whose activations are kept; 0 for a model that runs whole."""
        return len(self._base.cache)

    @property
    def splits(self) -> bool:
        """Whether the layers below the adapter are cached."""
        return self._upper is not None

    def _vectors(self, texts: Sequence[str]) -> Tensor:
        if not texts:
            return torch.zeros(0, self.dim, device=self._base.device, dtype=torch.float32)
        if self._upper is not None:
            hidden_BTH, mask_BT = padded(self._base.activations(texts))
            hidden_BTH = hidden_BTH.to(self._upper_dtype)
            out = self._upper(inputs_embeds=hidden_BTH, attention_mask=mask_BT)
        else:
            ids_BT, mask_BT = padded(self._base.tokens(texts))
            out = self.adapted.root(input_ids=ids_BT, attention_mask=mask_BT)
        return pooled(out.last_hidden_state, mask_BT, self._base.pooling)
