"""Reads settings with pydantic-settings and checks them, all at once.

1. Ask each source for what it gives: the environment, then `.env`, then `streamrec.toml`. A name
   that no setting has is a problem, with the nearest that there is.
2. The first source that gives a setting wins; where each value came from is kept.
3. Check types and limits of what won. Problems of all three steps are raised together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, Field, ValidationError, create_model
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from streamrec.errors import SettingsError
from streamrec.settings.names import (
    PREFIX,
    SHORT,
    SettingName,
    every,
    settings_of,
    unknown,
    variable,
)
from streamrec.settings.retired import RETIRED_VALUES
from streamrec.settings.values import Settings

ENVIRONMENT, DOTENV, TOML = "environment", ".env", "streamrec.toml"
FILE = "_file"  # a secret's name with this names a file that holds it
KINDS: Mapping[type[Any], str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """Settings, and the source of each that is not the default, by ``SettingName.key``."""

    settings: Settings
    sources: Mapping[str, str]


class _Given(BaseSettings):
    """Checks what the sources gave; it asks none itself, as we want to know which gave what."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _no_truth(value: Any) -> Any:
    """In Python a truth is a number; in a file it is a mistake."""
    if isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - pydantic collects only these
    return value


def _checked(name: SettingName) -> tuple[Any, Any]:
    """Type and default of a setting, as pydantic wants them."""
    kind: Any = name.kind
    if kind in (int, float):
        finite = False if kind is float else None
        least, most = name.field.metadata["least"], name.field.metadata["most"]
        limits = Field(ge=least, le=most, allow_inf_nan=finite)
        kind = Annotated[kind, limits, BeforeValidator(_no_truth)]
    return kind, name.field.default


NAMES = {name.key: name for name in every()}
SECRETS = tuple(name.key for name in every() if name.secret)
MODEL = create_model(
    "Given",
    __base__=_Given,
    **cast(dict[str, Any], {name.key: _checked(name) for name in every()}),
    **cast(dict[str, Any], dict.fromkeys([key + FILE for key in SECRETS], (str, ""))),
)
VARIABLES = {key: variable(key) for key in [*MODEL.model_fields, *SHORT]}
PATHS = {name.key: name.path for name in every()} | {
    key + FILE: NAMES[key].path + FILE for key in SECRETS
}


def read(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Reading:
    """As ``streamrec.settings.load``, with the source of each value."""
    if environ is None:
        environ, folder = os.environ, folder or Path()
    problems: list[str] = []
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, ask in _sources(environ, folder):
        found: list[str] = []
        given = _or_problem(ask, found)
        _read_secrets(given, found)
        values = given | values
        sources = dict.fromkeys(given, source) | sources
        problems += [f"{source}: {problem}" for problem in found]
    try:
        checked = dict(MODEL(**values))
    except ValidationError as error:
        problems += [_problem(at, sources) for at in error.errors()]
    if problems:
        raise SettingsError(problems)
    return Reading(settings_of(checked), sources)


Ask = Callable[[list[str]], dict[str, Any]]


def _sources(environ: Mapping[str, str], folder: Path | None) -> Iterable[tuple[str, Ask]]:
    """Each with a question that answers by ``SettingName.key`` and notes problems."""
    yield ENVIRONMENT, lambda found: _of_environment(environ, found)
    if folder is not None:
        yield DOTENV, lambda found: _of_dotenv(folder / DOTENV, found)
        yield TOML, lambda found: _of_toml(folder / TOML, found)


def _or_problem(ask: Ask, found: list[str]) -> dict[str, Any]:
    try:
        return ask(found)
    except (OSError, ValueError) as error:  # a file that cannot be read, or not be understood
        found.append(str(error))
        return {}


def _of_environment(environ: Mapping[str, str], found: list[str]) -> dict[str, Any]:
    return _ours(EnvSettingsSource(MODEL), environ, found)


def _of_dotenv(path: Path, found: list[str]) -> dict[str, Any]:
    source = DotEnvSettingsSource(MODEL, env_file=path, case_sensitive=True)
    given = {name: text for name, text in source.env_vars.items() if text is not None}
    return _ours(EnvSettingsSource(MODEL), given, found)


def _ours(
    source: EnvSettingsSource, variables: Mapping[str, str], found: list[str]
) -> dict[str, Any]:
    """Let ``source`` read those variables that are settings."""
    ours = {name: text for name, text in variables.items() if name.startswith(PREFIX)}
    strange = sorted(ours.keys() - set(VARIABLES.values()))
    found += [f"{name}: {unknown(name, VARIABLES)}" for name in strange]
    for short, key in SHORT.items():
        name = variable(key)
        value = ours.pop(variable(short), None)
        if value is not None and ours.setdefault(name, value) != value:
            found.append(f"{variable(short)} and {name} are the same setting and differ: give one")
    source.env_vars = {name.lower(): text for name, text in ours.items() if name not in strange}
    return source()


def _of_toml(path: Path, found: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for section, value in TomlConfigSettingsSource(MODEL, toml_file=path)().items():
        inside = value.items() if isinstance(value, Mapping) else ()
        given |= {f"{section}.{name}": inner for name, inner in inside}
        if not isinstance(value, Mapping):
            given[section] = value
    strange = [name for name in given if name not in PATHS.values()]
    found += [f"{name}: {unknown(name, PATHS)}" for name in strange]
    return {key: given[path] for key, path in PATHS.items() if path in given}


def _read_secrets(given: dict[str, Any], found: list[str]) -> None:
    """Replace names of files by what they hold."""
    for key in SECRETS:
        path = given.pop(key + FILE, None)
        if path is None or key in given:
            continue
        try:
            given[key] = Path(path).read_text().strip()
        except (OSError, ValueError, TypeError) as error:
            found.append(f"{variable(key + FILE)}: {error}")


def _problem(error: Any, sources: Mapping[str, str]) -> str:
    key = str(error["loc"][0])
    name, source = NAMES[key], sources[key]
    shown = name.path if source == TOML else name.variable
    return f"{source}: {shown}: {_what_is_wrong(error, name)}"


def _what_is_wrong(error: Any, name: SettingName) -> str:
    given, limits = error["input"], error.get("ctx", {})
    if name.secret:
        return f"it is not {KINDS[name.kind]}"
    if error["type"] == "greater_than_equal":
        return f"{given} is below {limits['ge']:g}"
    if error["type"] == "less_than_equal":
        return f"{given} is above {limits['le']:g}"
    if issubclass(name.kind, StrEnum):
        now = given in RETIRED_VALUES.get(name.key, ())
        recipe = f"; now a recipe: streamrec train --recipe {given}" if now else ""
        return f"{given!r} is none of {', '.join(name.kind)}{recipe}"
    return f"{given!r} is not {KINDS.get(name.kind, 'a path')}"
