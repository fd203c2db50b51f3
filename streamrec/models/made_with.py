"""What a computation depends on beside its inputs: versions, processor, threads.

Does not know what is computed. Equal here, and everything else equal: equal to the last bit.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import torch

from streamrec.models.encoder import TextEncoder

PACKAGES = ("streamrec", "torch", "transformers", "peft", "tokenizers", "numpy")


def made_with(encoder: TextEncoder) -> dict[str, str]:
    """By name, for a manifest."""
    processor = torch.backends.cpu.get_cpu_capability()
    device = encoder.device.type
    if device == "cuda":
        processor = torch.cuda.get_device_name(encoder.device)
    return {
        **{name: _version(name) for name in PACKAGES},
        "device": device,
        "processor": processor,
        "dtype": str(encoder.frozen_dtype).removeprefix("torch."),
        "threads": str(torch.get_num_threads()),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
