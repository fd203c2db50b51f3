"""A frozen language model with an adapter of one's own, whatever it is used for.

Knows the adapter's weights, their files and their twins. Does not know what the model computes:
vectors (``encoder``) or words (``causal``).
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from streamrec.errors import GenerationRefused
from streamrec.models.lora import WEIGHTS_FILE, Adapted


@dataclass(frozen=True, slots=True)
class FrozenBase:
    """What is known of a frozen model, whoever adapts it. ``digest``: sha256 of its weights."""

    name: str
    digest: str
    dim: int
    device: torch.device


class AdaptedModel(ABC):
    """One adapter over a frozen base. Its weights do not change while ``_lock`` is held."""

    def __init__(self, base: FrozenBase, adapted: Adapted) -> None:
        self.adapted = adapted
        self._base = base
        self._lock = threading.Lock()

    @property
    def dim(self) -> int:
        """Of what the model computes inside."""
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
    def frozen_dtype(self) -> torch.dtype:
        """What the frozen layers compute in; trainable tensors are float32."""
        return dtype_of(self.adapted.transformer)

    @property
    @abstractmethod
    def encoder_version(self) -> str:
        """Two models with the same version compute the same; manifests call it so."""

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

    def with_adapter(self, state: Mapping[str, Tensor] | None = None) -> Self:
        """Another one over the same frozen base: same adapter method, own weights.

        Raises:
            GenerationRefused: ``state`` does not fit; without one, our weights are copied.
        """
        with self._lock:
            twin = type(self)(self._base, self.adapted.twin())
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


def read_adapter(directory: Path) -> dict[str, Tensor]:
    """The tensors of an adapter directory. Raises GenerationRefused if they cannot be read."""
    try:
        return load_file(str(directory / WEIGHTS_FILE))
    except (OSError, SafetensorError) as error:
        raise GenerationRefused(f"{directory / WEIGHTS_FILE} cannot be read: {error}") from error


def dtype_of(module: nn.Module) -> torch.dtype:
    """Of its first parameter; float32 where it has none."""
    return next(iter(p.dtype for p in module.parameters()), torch.float32)
