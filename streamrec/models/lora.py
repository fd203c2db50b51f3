"""What of the language model is trained: the menu, and how one dish is put on a model.

Knows PEFT's methods and their limits per model family. Does not know about texts,
pooling, caching or optimisers.

Every dish begins as no change at all to the frozen model's output, except prefix tuning,
whose prefix takes part in attention from the start.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
LOW_RANK = frozenset({Adapter.LORA, Adapter.DORA, Adapter.ADALORA})
RANKED = LOW_RANK | {Adapter.PREFIX}
TRAINED_WHOLE = frozenset({Adapter.LAST_LAYERS, Adapter.FULL})
ADALORA_STEPS = 100_000
"""AdaLoRA must be told how long it will train; a stream has no end, so: long."""


@dataclass(frozen=True, slots=True)
class Adapted:
    """A transformer with something trainable in it.

    ``root`` is what runs whole (PEFT's wrapper, or the transformer itself);
    ``transformer`` is the transformer inside; ``first_adapted`` is the lowest layer that
    differs from the frozen model (the number of layers if none does).
    """

    adapter: Adapter
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
        return {name: tensor.clone() for name, tensor in self._named().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take these weights.

        Raises:
            GenerationRefused: names or shapes differ, or a value is not finite; nothing
                has changed then.
        """
        mine = self._named()
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
        return Adapted(self.adapter, root, _inside(root), self.first_adapted, self.signature)

    def save(self, directory: Path, base_name: str) -> None:
        """``adapter_config.json`` and ``adapter_model.safetensors``, as PEFT lays them out."""
        directory.mkdir(parents=True, exist_ok=True)
        if isinstance(self.root, peft.PeftModel):
            config = copy.deepcopy(self.root.peft_config["default"])
            config.base_model_name_or_path, config.inference_mode = base_name, True
            config.save_pretrained(str(directory))
            _in_order(directory / CONFIG_FILE)
        else:  # nothing PEFT has a name for; plain PEFT refuses it by its type
            text = json.dumps({"peft_type": self.adapter, "base_model_name_or_path": base_name})
            (directory / CONFIG_FILE).write_text(text)
        save_file(
            {name: tensor.contiguous().cpu() for name, tensor in self.state().items()},
            str(directory / WEIGHTS_FILE),
            metadata={"format": "pt"},
        )

    def _named(self) -> dict[str, Tensor]:
        """The live trainable tensors under their names in PEFT's files."""
        if isinstance(self.root, peft.PeftModel) and self.adapter is Adapter.PREFIX:
            return {"prompt_embeddings": self.root.prompt_encoder["default"].embedding.weight.data}
        return {
            name.replace(".default", ""): parameter.data
            for name, parameter in self.root.named_parameters()
            if parameter.requires_grad
        }


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
        *_not_in_the_family(settings.adapter, str(config.model_type)),
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
    if adapter in TRAINED_WHOLE and settings.dtype == "bfloat16":
        yield (
            f"STREAMREC_ENCODER_DTYPE=bfloat16 with {adapter}: a step smaller than 1/256 of a "
            "weight would be rounded away; use auto"
        )
    if not 0 <= dropout < 1:
        yield f"STREAMREC_ENCODER_DROPOUT={dropout:g} is not in [0, 1)"
    if dropout and adapter not in LOW_RANK:
        yield (
            f"STREAMREC_ENCODER_DROPOUT={dropout:g} with {adapter}: only lora, dora and "
            "adalora have an input to drop"
        )
    if adapter not in RANKED and settings.rank != EncoderSettings().rank:
        yield (
            f"STREAMREC_ENCODER_RANK={settings.rank} with {adapter}: it has no rank; leave it out"
        )


def _not_in_the_family(adapter: Adapter, family: str) -> Iterator[str]:
    if adapter is Adapter.IA3 and not _targets(adapter, family):
        yield f"ia3 does not know which modules to scale in {family}; use lora"
    if adapter is Adapter.PREFIX and family not in PREFIX_FAMILIES:
        yield (
            f"prefix tuning feeds keys and values through a decoder's cache, which {family} "
            "used as an encoder does not have; use lora"
        )


PREFIX_FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3", "gpt2"})


def adapt(model: Any, settings: EncoderSettings) -> Adapted:
    """Freeze ``model`` and put the chosen adapter on it, in place.

    Its random parts are drawn from a fixed seed: every process starts from the same adapter.

    Raises:
        SettingsError: the combination cannot work, with every reason.
    """
    found = problems(settings, model.config)
    if found:
        raise SettingsError(found)
    model.requires_grad_(False)
    layers_name, layers = layer_list(model)
    first = len(layers) - settings.layers
    adapter = settings.adapter
    if adapter is Adapter.NONE:
        return Adapted(adapter, model, model, len(layers), adapter)
    if adapter is Adapter.FULL:
        model.requires_grad_(True)
        return Adapted(adapter, model, model, 0, adapter)
    if adapter is Adapter.LAST_LAYERS:
        for layer in layers[first:]:
            layer.requires_grad_(True)
        return Adapted(adapter, model, model, first, adapter)
    config = _config(settings, str(model.config.model_type), layers_name, first, layers)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        root = peft.get_peft_model(model, config)
        if adapter is Adapter.LORA:  # PEFT has drawn in the base's dtype: draw again, in float32
            torch.manual_seed(0)
            for module in root.modules():
                if isinstance(module, LoraLayer):
                    module.reset_lora_parameters("default", init_lora_weights=True)
    signature = f"{adapter} r={settings.rank} alpha={settings.alpha:g} layers={settings.layers}"
    return Adapted(
        adapter, root, _inside(root), 0 if adapter is Adapter.PREFIX else first, signature
    )


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


def _inside(root: Any) -> nn.Module:
    inside: nn.Module = root.get_base_model() if isinstance(root, peft.PeftModel) else root
    return inside


def _targets(adapter: Adapter, family: str) -> list[str] | None:
    if adapter is Adapter.IA3:
        table = constants.TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
    else:
        table = constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
    names: list[str] | None = table.get(family)
    return names


def _linear_names(layer: nn.Module) -> list[str]:
    """Of a family PEFT has no list for: everything linear in a layer."""
    linear = (name for name, part in layer.named_modules() if isinstance(part, nn.Linear))
    return sorted({name.rpartition(".")[2] for name in linear})


def _config(
    settings: EncoderSettings, family: str, layers_name: str, first: int, layers: nn.ModuleList
) -> Any:
    adapter, depth = settings.adapter, len(layers)
    if adapter is Adapter.PREFIX:
        return peft.PrefixTuningConfig(
            task_type=peft.TaskType.FEATURE_EXTRACTION, num_virtual_tokens=settings.rank
        )
    if adapter is Adapter.IA3:
        feedforward = constants.TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING[family]
        where = rf".*{re.escape(layers_name)}\.({'|'.join(map(str, range(first, depth)))})\..*"
        named = [re.escape(name) for name in _targets(adapter, family) or []]
        inside = [re.escape(name) for name in feedforward]
        return peft.IA3Config(
            task_type=peft.TaskType.FEATURE_EXTRACTION,
            target_modules=rf"{where}({'|'.join(named)})",
            feedforward_modules=rf"{where}({'|'.join(inside)})",
            fan_in_fan_out=family == "gpt2",
        )
    low_rank = {
        "task_type": peft.TaskType.FEATURE_EXTRACTION,
        "target_modules": _targets(adapter, family) or _linear_names(layers[first]),
        "layers_to_transform": list(range(first, depth)),
        "layers_pattern": layers_name.rpartition(".")[2],
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": settings.dropout,
        "fan_in_fan_out": family == "gpt2",
    }
    if adapter is Adapter.ADALORA:
        return peft.AdaLoraConfig(
            **low_rank, init_r=settings.rank, target_r=settings.rank, total_step=ADALORA_STEPS
        )
    return peft.LoraConfig(**low_rank, use_dora=adapter is Adapter.DORA)
