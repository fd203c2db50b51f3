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
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from streamrec.errors import GenerationRefused
from streamrec.models.cached_layers import ActivationCache, cut, padded
from streamrec.models.lora import WEIGHTS_FILE, Adapted, state_digest
from streamrec.models.pooling import pooled
from streamrec.settings import Pooling

BATCH_TEXTS = {"cpu": 16}  # of one length; more wastes more where lengths differ
BATCH_TEXTS_ELSEWHERE = 64

CHARS_A_TOKEN = 128
"""So much of a text is split into tokens for each that is kept: more than any language needs. The
whole of a text of a million characters takes seconds, in which nobody is answered."""


@dataclass(frozen=True, slots=True)
class Base:
    """What all encoders over one frozen model share. Nothing in it depends on an adapter."""

    name: str
    digest: str
    dim: int
    pooling: Pooling
    max_tokens: int
    prompt: str  # before every text; part of its tokens
    device: torch.device
    tokenizer: Any
    tokenizer_lock: threading.Lock
    lower: nn.Module | None  # None: the model runs whole
    cache: ActivationCache

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


class TextEncoder:
    """Texts to unit vectors, with one adapter's weights."""

    def __init__(self, base: Base, adapted: Adapted) -> None:
        self._base = base
        self.adapted = adapted
        self._lock = threading.Lock()  # adapter weights do not change under an encode()
        halves = cut(adapted.transformer, adapted.first_adapted) if base.lower else None
        self._upper = halves.upper if halves else None
        self._upper_dtype = _dtype_of(self._upper or adapted.transformer)

    @property
    def dim(self) -> int:
        return self._base.dim

    @property
    def device(self) -> torch.device:
        return self._base.device

    @property
    def base_name(self) -> str:
        """The base model as the settings name it."""
        return self._base.name

    @property
    def base_digest(self) -> str:
        """sha256 of the frozen base's weights."""
        return self._base.digest

    @property
    def pooling(self) -> Pooling:
        """How token vectors become one; never ``AUTO``."""
        return self._base.pooling

    @property
    def frozen_dtype(self) -> torch.dtype:
        """What the frozen layers compute in; trainable tensors are float32."""
        return _dtype_of(self._base.lower or self.adapted.transformer)

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
        vectors_ND = torch.zeros(len(texts), self.dim)
        for chosen in self._base.alike(self._base.tokens(texts) if texts else []):
            if stop is not None and stop.is_set():
                raise CancelledError
            with torch.no_grad(), self._lock:
                vectors_ND[chosen] = self._vectors([texts[i] for i in chosen]).cpu()
        return vectors_ND

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

    @contextmanager
    def dropping_out(self) -> Iterator[None]:
        """Inside, the adapter's dropout is on, drawn from torch's own generator."""
        layers = self.adapted.dropping_layers()
        for layer in layers:
            layer.train()
        try:
            yield
        finally:
            for layer in layers:
                layer.eval()

    def trainable_parameters(self) -> list[nn.Parameter]:
        return self.adapted.parameters()

    def adapter_state(self) -> dict[str, Tensor]:
        """Copies of the adapter's tensors under PEFT's file names."""
        with self._lock:
            return self.adapted.state()

    def load_adapter_state(self, state: Mapping[str, Tensor]) -> None:
        """Take these weights. Raises GenerationRefused, unchanged, when they do not fit."""
        with self._lock:
            self.adapted.load_state(state)

    def with_adapter(self, state: Mapping[str, Tensor] | None = None) -> TextEncoder:
        """Another encoder over the same frozen base: same adapter method, own weights.

        Raises:
            GenerationRefused: ``state`` does not fit; without one, our weights are copied.
        """
        with self._lock:
            twin = TextEncoder(self._base, self.adapted.twin())
        if state is not None:
            twin.load_adapter_state(state)
        return twin

    def save_adapter(self, directory: Path) -> None:
        """Write PEFT's ``adapter_config.json`` and ``adapter_model.safetensors``."""
        with self._lock:
            self.adapted.save(directory, self._base.name)

    def load_adapter(self, directory: Path) -> None:
        """Take the weights of ``adapter_model.safetensors``.

        Raises:
            GenerationRefused: the file is missing, damaged or does not fit; unchanged then.
        """
        self.load_adapter_state(read_adapter(directory))

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
            return torch.zeros(0, self.dim, device=self._base.device)
        if self._upper is not None:
            hidden_BTH, mask_BT = padded(self._base.activations(texts))
            hidden_BTH = hidden_BTH.to(self._upper_dtype)
            out = self._upper(inputs_embeds=hidden_BTH, attention_mask=mask_BT)
        else:
            ids_BT, mask_BT = padded(self._base.tokens(texts))
            out = self.adapted.root(input_ids=ids_BT, attention_mask=mask_BT)
        return pooled(out.last_hidden_state, mask_BT, self._base.pooling)


def read_adapter(directory: Path) -> dict[str, Tensor]:
    """The tensors of an adapter directory. Raises GenerationRefused if they cannot be read."""
    try:
        return load_file(str(directory / WEIGHTS_FILE))
    except (OSError, SafetensorError) as error:
        raise GenerationRefused(f"{directory / WEIGHTS_FILE} cannot be read: {error}") from error


def _dtype_of(module: nn.Module) -> torch.dtype:
    return next(iter(p.dtype for p in module.parameters()), torch.float32)
