"""Which weights fit: the settings that a generation's tensors, or their meaning, depend on.

Knows their names, and how two shapes are compared and put into words. Does not know how weights
of another shape are loaded (``models.encoder_shapes``) or learned from (``loop.training.restart``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamrec.core.release.manifest import Manifest

Shape = Mapping[str, str]
"""Name of a setting -> its value. Empty where nothing is known, or nothing can change."""

ENCODER = ("max_tokens", "pooling", "prompt", "adapter", "layers", "rank", "alpha")
PREFIX = "STREAMREC_ENCODER_"
MODEL, STATISTICS = f"{PREFIX}MODEL", "the set of statistics"


def shape(encoder: Mapping[str, Any], base_digest: str, feature_set: str) -> Shape:
    """Of weights over a base model. ``encoder``: the settings of that group, as a manifest has
    them."""
    named = {PREFIX + name.upper(): str(encoder[name]) for name in ENCODER if name in encoder}
    return {MODEL: base_digest[:12], STATISTICS: feature_set, **named}


def shape_of(manifest: Manifest) -> Shape:
    """Of a finished generation."""
    encoder = manifest.settings.get("encoder", {})
    return shape(encoder, manifest.base_digest, manifest.feature_set)


def changes(then: Shape, now: Shape) -> list[str]:
    """What has changed, by the name of the setting; what only one of them knows has not."""
    return [
        f"{name} {then[name] or 'empty'}, now {now[name] or 'empty'}"
        for name in now
        if name in then and then[name] != now[name]
    ]
