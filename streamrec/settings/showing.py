"""Settings as a person sees them, and as the environment of a child process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from streamrec.settings.names import PREFIX, every, settings_of
from streamrec.settings.values import Settings

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Described:
    """One setting as a person sees it; ``source`` says where its value came from."""

    name: str
    value: str
    default: str
    doc: str
    source: str


def describe(settings: Settings, sources: Mapping[str, str] | None = None) -> list[Described]:
    """Every setting with its value, secrets masked. ``sources``: as ``reading.read`` found them."""
    rows = []
    for name in every():
        value, spec = name.of(settings), name.field
        shown = "***" if name.secret and value else str(value)
        source = (sources or {}).get(name.key, DEFAULT)
        rows.append(
            Described(name.variable, shown, str(spec.default), spec.metadata["doc"], source)
        )
    return rows


def environment(settings: Settings) -> dict[str, str]:
    """The environment that makes ``load`` return these settings again, whatever files say.

    Raises ValueError where a value is changed that no setting says.
    """
    if settings_of({name.key: name.of(settings) for name in every()}) != settings:
        raise ValueError(f"not all of this can be handed on to a process: {settings}")
    return {name.variable: str(name.of(settings)) for name in every()}


def child_environment(settings: Settings) -> dict[str, str]:
    """The whole environment of a worker process that shall have exactly these settings."""
    others = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    return others | environment(settings)
