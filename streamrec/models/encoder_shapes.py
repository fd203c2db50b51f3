"""The encoders that generations belong on: ours, and those of settings that were other once.

Knows how a manifest leads to an encoder. A generation made before a setting was changed is not
refused for it: its own encoder is loaded beside ours, once, and stays as long as we run.
"""

from __future__ import annotations

import logging
import threading
import typing
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from enum import StrEnum
from typing import Any

from streamrec.core.release.manifest import Manifest
from streamrec.core.release.weight_shape import ENCODER, Shape, changes, shape, shape_of
from streamrec.errors import EncoderUnavailable, GenerationRefused, SettingsError
from streamrec.models.encoder import TextEncoder
from streamrec.models.loading import load_encoder
from streamrec.settings import EncoderSettings

log = logging.getLogger(__name__)


class EncoderShapes:
    """Safe to call from several threads. ``load``: makes an encoder from settings."""

    def __init__(
        self,
        own: TextEncoder,
        settings: EncoderSettings | None = None,
        load: Callable[[EncoderSettings], TextEncoder] = load_encoder,
    ) -> None:
        """``settings``: of ``own``; without them there are no others."""
        self.own = own
        self._settings, self._load = settings, load
        self._others: dict[tuple[tuple[str, str], ...], TextEncoder] = {}
        self._lock = threading.Lock()

    def shape(self, feature_set: str) -> Shape:
        """Of what is made here."""
        settings = asdict(self._settings) if self._settings else {}
        return shape(settings, self.own.base_digest, feature_set)

    def changed(self, manifest: Manifest) -> list[str]:
        """What a generation needs otherwise than ours, the set of statistics aside."""
        return changes(shape_of(manifest), self.shape(manifest.feature_set))

    def of(self, manifest: Manifest) -> TextEncoder:
        """What a generation's adapter belongs on.

        Raises GenerationRefused when that cannot be had here.
        """
        changed = self.changed(manifest)
        if not changed or self._settings is None:
            return self.own
        key = tuple(sorted(shape_of(manifest).items()))
        with self._lock:
            if key not in self._others:
                self._others[key] = self._other(manifest, changed, self._settings)
                log.warning(
                    "%s was made with %s: its own encoder is loaded beside ours",
                    manifest.generation,
                    "; ".join(changed),
                )
            return self._others[key]

    def _other(
        self, manifest: Manifest, changed: list[str], settings: EncoderSettings
    ) -> TextEncoder:
        said = f"{manifest.generation} was made with {'; '.join(changed)}"
        try:
            then = replace(settings, **settings_then(manifest))
            encoder = self.own if then == settings else self._load(then)
        except (EncoderUnavailable, SettingsError, ValueError, TypeError) as error:
            raise GenerationRefused(f"{said}, and that cannot be had here: {error}") from error
        if encoder.base_digest != manifest.base_digest:
            raise GenerationRefused(
                f"{said}: {manifest.base_model} has other weights now (sha256 "
                f"{encoder.base_digest[:12]}, then {manifest.base_digest[:12]}); bring those back, "
                "or wait for a generation of this shape"
            )
        return encoder


def settings_then(manifest: Manifest) -> dict[str, Any]:
    """The encoder's settings that shaped a generation. Raises ValueError for one unknown here."""
    hints = typing.get_type_hints(EncoderSettings)
    recorded: Mapping[str, Any] = manifest.settings.get("encoder", {})
    return {
        name: hints[name](value) if issubclass(hints[name], StrEnum) else value
        for name, value in recorded.items()
        if name in ("model", *ENCODER)
    }
