"""Several LoRA adapters on one frozen model, each row of a batch pinned to one of them.

Knows the adapters' matrices and which row is whose. Does not know generations, tokens or what the
model computes.

Each adapter lies in a place of its own, of which there are a fixed number. Filling a free place
changes nothing that another one computes, so it needs no pause of what is computing.

Shapes: S places, B rows, T tokens, I inputs and O outputs of a layer, R rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from streamrec.errors import SettingsError
from streamrec.models.lora import Adapted, check_tensors


@dataclass(slots=True)
class _Pins:
    """Which place each row of the next batch is pinned to; told to all layers at once."""

    rows_B: Tensor


class PinnedLora(nn.Module):
    """A frozen linear layer, and for every place what an adapter adds to it."""

    def __init__(self, frozen: nn.Module, lora: Any, places: int, pins: _Pins) -> None:
        super().__init__()
        down, up = lora.lora_A["default"].weight, lora.lora_B["default"].weight
        self.frozen = frozen
        self.down_SRI = torch.zeros(places, *down.shape, device=down.device)
        self.up_SOR = torch.zeros(places, *up.shape, device=up.device)
        self._scale = float(lora.scaling["default"])
        self._pins = pins
        self._chosen: tuple[Tensor, Tensor, Tensor] | None = None

    def forward(self, hidden_BTI: Tensor) -> Tensor:
        out_BTO: Tensor = self.frozen(hidden_BTI)
        down_BIR, up_BRO = self._of_the_rows()
        added_BTO = hidden_BTI.to(down_BIR.dtype) @ down_BIR @ up_BRO
        return out_BTO + added_BTO.to(out_BTO.dtype)

    def _of_the_rows(self) -> tuple[Tensor, Tensor]:
        rows_B = self._pins.rows_B
        if self._chosen is None or self._chosen[0] is not rows_B:
            down_BIR = self.down_SRI[rows_B].transpose(1, 2).contiguous()
            up_BRO = (self.up_SOR[rows_B] * self._scale).transpose(1, 2).contiguous()
            self._chosen = rows_B, down_BIR, up_BRO
        return self._chosen[1], self._chosen[2]


class PinnedAdapters:
    """A model of its own over the frozen tensors of ``adapted``, with places for adapters.

    Raises SettingsError for anything but plain LoRA.
    """

    def __init__(self, adapted: Adapted, places: int) -> None:
        if adapted.method != "lora":
            raise SettingsError([f"replies are written with lora, not {adapted.method}"])
        twin = adapted.twin()
        self.model: Any = twin.transformer
        self._shapes = {name: tuple(t.shape) for name, t in adapted.live().items()}
        self.device = next(self.model.parameters()).device
        self._pins = _Pins(torch.zeros(1, dtype=torch.long, device=self.device))
        self._layers: dict[str, PinnedLora] = {}
        loras = [(n, m) for n, m in self.model.named_modules() if isinstance(m, LoraLayer)]
        for name, lora in loras:
            pinned = PinnedLora(lora.get_base_layer(), lora, places, self._pins)
            parent, _, last = name.rpartition(".")
            setattr(self.model.get_submodule(parent), last, pinned)
            self._layers[name] = pinned

    def fill(self, place: int, state: Mapping[str, Tensor]) -> None:
        """Put an adapter, as PEFT's files name it, into a place that no row is pinned to.

        Raises GenerationRefused, nothing changed, when it does not fit.
        """
        check_tensors(state, self._shapes)
        for name, layer in self._layers.items():
            layer.down_SRI[place] = state[f"base_model.model.{name}.lora_A.weight"]
            layer.up_SOR[place] = state[f"base_model.model.{name}.lora_B.weight"]

    def pin(self, places: Sequence[int]) -> None:
        """Of the rows of the batches that follow, until the next ``pin``."""
        self._pins.rows_B = torch.tensor(places, device=self.device)
