"""From settings to a ``TextEncoder``: weights found, read, cut, and an adapter put on.

Knows transformers' loaders, devices and number formats. Does not know what is encoded.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from streamrec.errors import EncoderUnavailable, SettingsError
from streamrec.models.cached_layers import ActivationCache, cut, same_output
from streamrec.models.encoder import Base, TextEncoder
from streamrec.models.lora import Adapt, adapt, problems
from streamrec.models.pooling import default_pooling, own_pooling
from streamrec.models.vector_cache import VectorCache
from streamrec.models.weights import find_weights
from streamrec.settings import Adapter, EncoderSettings, Pooling

SHORT_TOKENS = 128
ENCODER_DECODERS = frozenset({"t5", "mt5", "umt5"})


def load_encoder(
    settings: EncoderSettings,
    rank: int = 0,
    *,
    method: Adapt = adapt,
    kept: VectorCache | None = None,
) -> TextEncoder:
    """The base model of the settings with a fresh adapter, ready to encode.

    ``rank``: of this process among those that learn together; each takes a GPU of its own.
    ``method``: puts the adapter on. ``kept``: vectors of items on disk.

    Raises:
        EncoderUnavailable: the weights cannot be found or read.
        SettingsError: the adapter cannot be put on this model, or its pooling is not offered.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    quietly()
    device = device_of(settings.device, rank)
    dtype = dtype_for(settings.dtype, device)
    if settings.adapter is Adapter.FULL:
        dtype = torch.float32  # what is trained is kept exact
    weights = find_weights(settings.model)
    try:
        config = transformers.AutoConfig.from_pretrained(weights.directory, local_files_only=True)
        found = problems(settings, config)
        if found:
            raise SettingsError(found)
        loader = (
            transformers.AutoModelForTextEncoding  # the encoder half
            if config.model_type in ENCODER_DECODERS
            else transformers.AutoModel
        )
        model = pretrained(
            loader,
            weights.directory,
            dtype,
            attn_implementation=_attention(device, settings.max_tokens),
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            weights.directory, local_files_only=True
        )
        if settings.pooling is Pooling.AUTO:
            settings = replace(settings, pooling=own_pooling(weights.directory) or Pooling.AUTO)
    except (OSError, ValueError, SafetensorError) as error:
        raise EncoderUnavailable(f"{settings.model} cannot be read: {error}") from error
    return build_encoder(
        model,
        tokenizer,
        settings,
        name=weights.name,
        digest=weights.digest,
        device=device,
        method=method,
        kept=kept,
    )


def pretrained(loader: Any, directory: Path, dtype: torch.dtype, **more: Any) -> Any:
    """What ``loader.from_pretrained`` reads there, its weights in ``dtype``.

    Read in float32 and turned then: asked for another dtype, transformers makes it the default of
    every thread for as long as it builds, and a worker that answers meanwhile makes tensors of it.

    Raises OSError, ValueError or SafetensorError where it cannot be read.
    """
    model = loader.from_pretrained(
        directory, local_files_only=True, use_safetensors=True, dtype=torch.float32, **more
    )
    for weight in model.state_dict(keep_vars=True).values():  # not what is computed at the start
        if weight.is_floating_point():
            weight.data = weight.data.to(dtype)
    return model


def depth(settings: EncoderSettings) -> int:
    """How many layers the language model of the settings has.

    Raises EncoderUnavailable when it cannot be found or read.
    """
    weights = find_weights(settings.model)
    try:
        config = transformers.AutoConfig.from_pretrained(weights.directory, local_files_only=True)
        return int(config.num_hidden_layers)
    except (OSError, ValueError, AttributeError) as error:
        raise EncoderUnavailable(f"{settings.model} cannot be read: {error}") from error


def build_encoder(
    model: Any,
    tokenizer: Any,
    settings: EncoderSettings,
    *,
    name: str,
    digest: str,
    device: torch.device | None = None,
    method: Adapt = adapt,
    kept: VectorCache | None = None,
) -> TextEncoder:
    """An encoder around a loaded transformer, which it takes over.

    Raises:
        SettingsError: the adapter cannot be put on this model, or the prompt fills a text.
    """
    device = device or torch.device("cpu")
    config = model.config
    model = model.eval().to(device)
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # ``pooling`` does its work: not computed, and never trained
    adapted = method(model, settings)
    halves = cut(adapted.transformer, adapted.first_adapted) if adapted.first_adapted else None
    if halves is not None and not same_output(adapted.transformer, halves):
        halves = None
    if adapted.root is adapted.transformer and adapted.parameters():  # its own layers are trained
        (halves.upper if halves else adapted.transformer).float()
    adapted.root.eval()  # no dropout: activations are cached and versions compared
    pooling = settings.pooling
    base = Base(
        name=name,
        digest=digest,
        dim=int(config.hidden_size),
        pooling=default_pooling(config.model_type) if pooling is Pooling.AUTO else pooling,
        max_tokens=settings.max_tokens,
        prompt=settings.prompt,
        device=device,
        tokenizer=tokenizer,
        tokenizer_lock=threading.Lock(),
        lower=halves.lower if halves else None,
        cache=ActivationCache(settings.cache_mb << 20),
        kept=kept,
    )
    if settings.prompt and len(base.tokens([""])[0]) >= settings.max_tokens:
        raise SettingsError(
            [
                f"STREAMREC_ENCODER_PROMPT leaves no room for a text in "
                f"STREAMREC_ENCODER_MAX_TOKENS={settings.max_tokens}"
            ]
        )
    return TextEncoder(base, adapted)


def quietly() -> None:
    """transformers says nothing but errors from here on."""
    words = transformers.utils.logging
    words.disable_progress_bar()  # type: ignore[no-untyped-call]
    words.set_verbosity_error()  # type: ignore[no-untyped-call]


def device_of(wish: str, rank: int = 0) -> torch.device:
    """Raises SettingsError for a device that is not here."""
    if wish == "auto":
        wish = "cuda" if torch.cuda.is_available() else "cpu"
    if wish.partition(":")[0] not in {"cpu", "cuda"}:
        raise SettingsError([f"STREAMREC_ENCODER_DEVICE: {wish!r} is none of auto, cpu, cuda"])
    if wish != "cpu" and not torch.cuda.is_available():
        raise SettingsError([f"STREAMREC_ENCODER_DEVICE={wish}, but torch sees no GPU; use auto"])
    if wish == "cuda":
        return torch.device("cuda", rank % torch.cuda.device_count())
    return torch.device(wish)


def dtype_for(wish: str, device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively; emulated, it is slower than float32."""
    if wish not in {"auto", "float32", "bfloat16"}:
        raise SettingsError(
            [f"STREAMREC_ENCODER_DTYPE: {wish!r} is none of auto, float32, bfloat16"]
        )
    if wish != "auto":
        return torch.bfloat16 if wish == "bfloat16" else torch.float32
    return torch.bfloat16 if native_bfloat16(device) else torch.float32


def native_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _attention(device: torch.device, max_tokens: int) -> str:
    """Plain attention for short texts on a CPU: torch's fused one spends half of a training
    step in its backward pass there (docs/adr/0041)."""
    return "eager" if device.type == "cpu" and max_tokens <= SHORT_TOKENS else "sdpa"
