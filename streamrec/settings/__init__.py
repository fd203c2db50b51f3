"""Settings: what can be set, and the only reader of the environment, `.env` and `streamrec.toml`.

values.py    every setting: default, limits, meaning
retired.py   settings of earlier versions, and where they went
names.py     what each is called in the environment and in the file
reading.py   pydantic-settings reads and checks them, and lists every problem at once
showing.py   as a person sees them, and as the environment of a child process

Whoever is handed settings imports the values alone; pydantic is imported when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streamrec.settings.names import PREFIX
from streamrec.settings.retired import known_now
from streamrec.settings.showing import Described, child_environment, describe, environment
from streamrec.settings.values import (
    Adapter,
    AlarmSettings,
    CanarySettings,
    CopySettings,
    EncoderSettings,
    GatewaySettings,
    GuardSettings,
    HeadSettings,
    IngestSettings,
    KafkaSettings,
    LearningSettings,
    LogFormat,
    MetricsSettings,
    OutputFormat,
    Pooling,
    Precision,
    RedisSettings,
    RepliesSettings,
    Review,
    Scored,
    SecurityProtocol,
    ServingSettings,
    Settings,
    StateSettings,
    TrackerKind,
    TrainerSettings,
    TrustSettings,
)


def load(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Settings from the environment, `.env` and `streamrec.toml`; the first that gives one wins.

    Without arguments: of this process, with the files of its working directory. ``environ``
    stands in for the environment; then files are read only from ``folder``, if it is given.

    Raises:
        SettingsError: with every unknown name and impossible value.
    """
    from streamrec.settings import reading  # noqa: PLC0415 - pydantic, where settings are read

    return reading.read(environ, folder).settings


__all__ = [
    "PREFIX",
    "Adapter",
    "AlarmSettings",
    "CanarySettings",
    "CopySettings",
    "Described",
    "EncoderSettings",
    "GatewaySettings",
    "GuardSettings",
    "HeadSettings",
    "IngestSettings",
    "KafkaSettings",
    "LearningSettings",
    "LogFormat",
    "MetricsSettings",
    "OutputFormat",
    "Pooling",
    "Precision",
    "RedisSettings",
    "RepliesSettings",
    "Review",
    "Scored",
    "SecurityProtocol",
    "ServingSettings",
    "Settings",
    "StateSettings",
    "TrackerKind",
    "TrainerSettings",
    "TrustSettings",
    "child_environment",
    "describe",
    "environment",
    "known_now",
    "load",
]
