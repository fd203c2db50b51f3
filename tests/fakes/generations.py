"""Parts of a generation small enough to write in a test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from streamrec.core.release.manifest import Manifest

HEAD = {"skip.weight": (1, 5), "hidden.weight": (4, 5)}


def draft(**changes: Any) -> Manifest:
    manifest = Manifest(
        generation="",
        parent="g000001-00000000",
        encoder_version="v",
        base_model="tiny-bert",
        base_digest=f"{0:064d}",
        feature_set="features-1",
        created_at_ms=1_700_000_000_000,
        offsets={"0": (3, 9), "1": (0, 0)},
        settings={"rank": 8},
        gate={"accepted": True},
    )
    return replace(manifest, **changes)


def head(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in HEAD.items()}
