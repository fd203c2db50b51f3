"""What each setting is called: a variable in the environment and in `.env`, a key in the file."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any

from streamrec.settings.retired import RENAMED, RETIRED
from streamrec.settings.values import Settings

PREFIX = "STREAMREC_"
SHORT = {"encoder": "encoder_model"}
"""Other names of settings; giving both, with different values, is a problem."""


@dataclass(frozen=True, slots=True)
class SettingName:
    """One setting: ``group`` is empty at the top."""

    group: str
    field: Field[Any]
    kind: type[Any]

    @property
    def key(self) -> str:
        return f"{self.group}_{self.field.name}" if self.group else self.field.name

    @property
    def variable(self) -> str:
        return variable(self.key)

    @property
    def path(self) -> str:
        """Its place in the file, as TOML writes a dotted key."""
        return f"{self.group}.{self.field.name}" if self.group else self.field.name

    @property
    def secret(self) -> bool:
        return bool(self.field.metadata["secret"])

    def of(self, settings: Settings) -> Any:
        owner = getattr(settings, self.group) if self.group else settings
        return getattr(owner, self.field.name)


def variable(key: str) -> str:
    return PREFIX + key.upper()


@cache
def every() -> tuple[SettingName, ...]:
    """Every setting, in the order of the documentation."""
    kinds = typing.get_type_hints(Settings)
    groups = {name: kind for name, kind in kinds.items() if is_dataclass(kind)}
    found = list(_in_group("", Settings))
    for group, kind in groups.items():
        found += _in_group(group, kind)
    return tuple(found)


def _in_group(group: str, kind: Any) -> Iterator[SettingName]:
    """Fields that say what they mean; the others nobody sets from outside."""
    hints = typing.get_type_hints(kind)
    for spec in fields(kind):
        if "doc" in spec.metadata:
            yield SettingName(group, spec, hints[spec.name])


def settings_of(values: Mapping[str, Any]) -> Settings:
    """Settings from a value for each ``SettingName.key``."""
    groups: dict[str, dict[str, Any]] = {}
    for name in every():
        groups.setdefault(name.group, {})[name.field.name] = values[name.key]
    alone, usual = groups.pop(""), Settings()
    return Settings(**alone, **{at: replace(getattr(usual, at), **groups[at]) for at in groups})


def unknown(name: str, known: Mapping[str, str]) -> str:
    """What to say of ``name``; ``known``: names as that source writes them, by key."""
    key = name.removeprefix(PREFIX).replace(".", "_").lower()
    if key in RENAMED:
        return f"is called {known[RENAMED[key]]} now"
    if key in RETIRED:
        return str(RETIRED[key])
    (like,) = difflib.get_close_matches(name, known.values(), n=1, cutoff=0.8) or ("",)
    return "no such setting" + (f"; did you mean {like}?" if like else "")
