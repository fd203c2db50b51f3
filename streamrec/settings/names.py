"""What each setting is called: a variable in the environment and in `.env`, a key in the file."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable
from dataclasses import Field, dataclass, fields, is_dataclass
from functools import cache
from typing import Any

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
    alone = [spec for spec in fields(Settings) if not is_dataclass(kinds[spec.name])]
    found = [SettingName("", spec, kinds[spec.name]) for spec in alone]
    for group, kind in kinds.items():
        if is_dataclass(kind):
            hints = typing.get_type_hints(kind)
            found += [SettingName(group, spec, hints[spec.name]) for spec in fields(kind)]
    return tuple(found)


def unknown(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is none of the known ones: which it is most like."""
    (like,) = difflib.get_close_matches(name, known, n=1, cutoff=0.8) or ("",)
    return "no such setting" + (f"; did you mean {like}?" if like else "")
