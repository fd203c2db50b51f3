"""What of the language model is trained: lora, dora, full or none, and how it is put on a model.

Other adapter methods are recipes (``streamrec.lab.recipes``): an ``Adapt`` of their own. Every
method begins as no change at all to the frozen model's output.
"""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import peft
import torch
from peft.tuners.lora import LoraLayer
from peft.utils import constants
from safetensors.torch import save_file
from torch import Tensor, nn

from streamrec.errors import GenerationRefused, SettingsError
from streamrec.settings import Adapter, EncoderSettings

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
LOW_RANK = frozenset({Adapter.LORA, Adapter.DORA})


@dataclass(frozen=True, slots=True)
class Adapted:
    """A transformer with something trainable in it.

    ``root`` is what runs whole (PEFT's wrapper, or the transformer itself);
    ``transformer`` is the transformer inside; ``first_adapted`` is the lowest layer that
    differs from the frozen model (the number of layers if none does).
    """

    method: str
    root: Any
    transformer: nn.Module
    first_adapted: int
    signature: str  # settings that change what the same weights mean

    def parameters(self) -> list[nn.Parameter]:
        return [p for p in self.root.parameters() if p.requires_grad]

    def dropping_layers(self) -> list[nn.Module]:
        """Modules whose training mode means dropout of the adapter's input, nothing else."""
        return [module for module in self.root.modules() if isinstance(module, LoraLayer)]

    def state(self) -> dict[str, Tensor]:
        """Copies of the trainable tensors, named as in ``adapter_model.safetensors``."""
        return {name: tensor.clone() for name, tensor in self.live().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take these weights.

        Raises:
            GenerationRefused: names or shapes differ, or a value is not finite; nothing
                has changed then.
        """
        mine = self.live()
        check_tensors(state, {name: tuple(tensor.shape) for name, tensor in mine.items()})
        with torch.no_grad():
            for name, tensor in mine.items():
                tensor.copy_(state[name])

    def twin(self) -> Adapted:
        """The same adapter with weights of its own over the very same frozen tensors."""
        trainable = {id(p) for p in self.parameters()}
        tensors = [*self.root.parameters(), *self.root.buffers()]
        shared = {id(t): t for t in tensors if id(t) not in trainable}
        root = copy.deepcopy(self.root, memo=dict(shared))
        return replace(self, root=root, transformer=inside(root))

    def save(self, directory: Path, base_name: str) -> None:
        """``adapter_config.json`` and ``adapter_model.safetensors``, as PEFT lays them out."""
        directory.mkdir(parents=True, exist_ok=True)
        if isinstance(self.root, peft.PeftModel):
            config = copy.deepcopy(self.root.peft_config["default"])
            config.base_model_name_or_path, config.inference_mode = base_name, True
            config.save_pretrained(str(directory))
            _in_order(directory / CONFIG_FILE)
        else:  # nothing PEFT has a name for; plain PEFT refuses it by its type
            text = json.dumps({"peft_type": self.method, "base_model_name_or_path": base_name})
            (directory / CONFIG_FILE).write_text(text)
        save_file(
            {name: tensor.contiguous().cpu() for name, tensor in self.state().items()},
            str(directory / WEIGHTS_FILE),
            metadata={"format": "pt"},
        )

    def live(self) -> dict[str, Tensor]:
        """The trainable tensors themselves under their names in PEFT's files."""
        return {
            name.replace(".default", ""): parameter.data
            for name, parameter in self.root.named_parameters()
            if parameter.requires_grad
        }


Adapt = Callable[[Any, EncoderSettings], Adapted]
"""Freezes a transformers model and puts an adapter on it, in place; raises SettingsError."""


def _in_order(path: Path) -> None:
    """PEFT writes sets in the order of this process' hashes; a digest wants one order."""
    config = json.loads(path.read_text())
    ordered = {
        name: sorted(value)
        if name in ("target_modules", "exclude_modules") and isinstance(value, list)
        else value
        for name, value in config.items()
    }
    path.write_text(json.dumps(ordered, indent=2, sort_keys=True))


def state_digest(state: Mapping[str, Tensor]) -> str:
    """sha256 over names, shapes and float32 values, whatever their order."""
    digest = hashlib.sha256()
    for name in sorted(state):
        values = state[name].detach().float().cpu().contiguous().numpy()
        digest.update(f"{name}{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def check_tensors(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises GenerationRefused unless these are exactly the tensors expected, all finite."""
    missing, extra = sorted(shapes.keys() - tensors.keys()), sorted(tensors.keys() - shapes.keys())
    if missing or extra:
        raise GenerationRefused(f"tensors missing: {missing or 'none'}; unknown: {extra or 'none'}")
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            raise GenerationRefused(
                f"{name} has shape {tuple(tensors[name].shape)}, expected {shape}"
            )
        if not bool(torch.isfinite(tensors[name]).all()):
            raise GenerationRefused(f"{name} holds values that are not finite")


def problems(settings: EncoderSettings, config: Any) -> list[str]:
    """Why this adapter cannot be put on a model with this transformers config."""
    return [
        *_larger_than_the_model(settings, config),
        *_contradictions(settings),
    ]


def _larger_than_the_model(settings: EncoderSettings, config: Any) -> Iterator[str]:
    family, adapter, depth = config.model_type, settings.adapter, int(config.num_hidden_layers)
    longest = getattr(config, "max_position_embeddings", None)
    if adapter not in {Adapter.FULL, Adapter.NONE} and settings.layers > depth:
        yield f"STREAMREC_ENCODER_LAYERS={settings.layers}, but {family} has {depth} layers"
    if adapter in LOW_RANK and settings.rank > int(config.hidden_size):
        yield (
            f"STREAMREC_ENCODER_RANK={settings.rank} is above the model's width, "
            f"{config.hidden_size}: train in full instead"
        )
    if longest and settings.max_tokens > longest:
        yield f"STREAMREC_ENCODER_MAX_TOKENS={settings.max_tokens}, but {family} reads {longest}"


def _contradictions(settings: EncoderSettings) -> Iterator[str]:
    """Settings that mean nothing, or nothing together."""
    adapter, dropout = settings.adapter, settings.dropout
    if not 0 <= dropout < 1:
        yield f"dropout={dropout:g} is not in [0, 1)"
    if adapter is Adapter.FULL:
        yield from rounded_away(settings, adapter)
    if adapter not in LOW_RANK:
        yield from without_rank(settings, adapter)


def rounded_away(settings: EncoderSettings, method: str) -> Iterator[str]:
    """Why the model's own weights cannot be trained by this method."""
    if settings.dtype == "bfloat16":
        yield (
            f"STREAMREC_ENCODER_DTYPE=bfloat16 with {method}: a step smaller than 1/256 of a "
            "weight would be rounded away; use auto"
        )


def without_rank(settings: EncoderSettings, method: str) -> Iterator[str]:
    """Which settings of low-rank adapters were changed in vain."""
    if settings.dropout:
        yield (
            f"dropout={settings.dropout:g} with {method}: only lora and dora have an input to drop"
        )
    if settings.rank != EncoderSettings().rank:
        yield f"STREAMREC_ENCODER_RANK={settings.rank} with {method}: it has no rank; leave it out"


def adapt(model: Any, settings: EncoderSettings) -> Adapted:
    """An ``Adapt``: the method of the settings.

    Its random parts are drawn from a fixed seed: every process starts from the same adapter.

    Raises:
        SettingsError: the combination cannot work, with every reason.
    """
    found = problems(settings, model.config)
    if found:
        raise SettingsError(found)
    model.requires_grad_(False)
    layers_name, layers = layer_list(model)
    adapter = settings.adapter
    if adapter is Adapter.NONE:
        return Adapted(adapter, model, model, len(layers), adapter)
    if adapter is Adapter.FULL:
        model.requires_grad_(True)
        return Adapted(adapter, model, model, 0, adapter)
    config = peft.LoraConfig(
        **low_rank(settings, model, layers_name, layers), use_dora=adapter is Adapter.DORA
    )
    return put_on(model, config, settings, adapter, len(layers) - settings.layers)


def put_on(
    model: Any, config: Any, settings: EncoderSettings, method: str, first_adapted: int
) -> Adapted:
    """PEFT's ``config`` on a frozen model, its random parts from a fixed seed."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        root = peft.get_peft_model(model, config)
        if method == Adapter.LORA:  # PEFT has drawn in the base's dtype: draw again, in float32
            torch.manual_seed(0)
            for module in root.modules():
                if isinstance(module, LoraLayer):
                    module.reset_lora_parameters("default", init_lora_weights=True)
    signature = f"{method} r={settings.rank} alpha={settings.alpha:g} layers={settings.layers}"
    return Adapted(method, root, inside(root), first_adapted, signature)


def layer_list(model: Any) -> tuple[str, nn.ModuleList]:
    """The dotted name of the stack of layers, and the stack.

    Raises:
        SettingsError: no list of modules is as long as the config says the model is deep.
    """
    depth = int(model.config.num_hidden_layers)
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return name, module
    raise SettingsError([f"{type(model).__name__}: found no stack of {depth} layers to adapt"])


def inside(root: Any) -> nn.Module:
    """The transformer in PEFT's wrapper, if it is in one."""
    inside: nn.Module = root.get_base_model() if isinstance(root, peft.PeftModel) else root
    return inside


def _linear_names(layer: nn.Module) -> list[str]:
    """Of a family PEFT has no list for: everything linear in a layer."""
    linear = (name for name, part in layer.named_modules() if isinstance(part, nn.Linear))
    return sorted({name.rpartition(".")[2] for name in linear})


def low_rank(
    settings: EncoderSettings, model: Any, layers_name: str, layers: nn.ModuleList
) -> dict[str, Any]:
    """What PEFT's low-rank methods want to be told."""
    first, family = len(layers) - settings.layers, str(model.config.model_type)
    known: Mapping[str, list[str]] = constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
    return {
        "task_type": peft.TaskType.FEATURE_EXTRACTION,
        "target_modules": known.get(family) or _linear_names(layers[first]),
        "layers_to_transform": list(range(first, len(layers))),
        "layers_pattern": layers_name.rpartition(".")[2],
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": settings.dropout,
        "fan_in_fan_out": family == "gpt2",
    }
