"""Recorded streams: files of JSON lines, read as the topics' messages are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from streamrec.core import topics
from streamrec.core.events import Interaction, Item
from streamrec.errors import BadFile, Refused
from streamrec.ports import Codec
from streamrec.settings import EncoderSettings, Settings
from streamrec.tasks.ranking.example_maker import RankingRules


def read_items(path: Path, codec: Codec) -> list[Item]:
    """Raises BadFile, naming the line, also when there is no such file."""
    return list(_lines(path, topics.ITEMS, codec))


def read_events(path: Path, codec: Codec) -> list[Interaction]:
    """Events in time order. Raises BadFile, naming the line, also when there is no such file."""
    return list(_in_time_order(path, codec))


def fold_rules(settings: Settings) -> RankingRules:
    """How a file is folded: as one partition."""
    ingest = settings.ingest
    return RankingRules(
        partitions=1,
        attribution_window_ms=int(ingest.attribution_window_s * 1_000),
    )


def roomy(settings: EncoderSettings) -> EncoderSettings:
    """With room for what the layers below the adapter make of a whole catalogue.

    It is read from end to end for every version of the encoder. Up to a quarter of the memory that
    is free: it is taken as texts come, and given up at random beyond.
    """
    free_mb = psutil.virtual_memory().available >> 20
    return replace(settings, cache_mb=max(settings.cache_mb, free_mb // 4))


def _in_time_order(path: Path, codec: Codec) -> Iterator[Interaction]:
    latest_ms = 0
    for number, event in enumerate(_lines(path, topics.EVENTS, codec), start=1):
        if event.occurred_at_ms < latest_ms:
            raise BadFile(
                f"{path} event {number}: occurred before the one above it; "
                "sort the file by occurred_at"
            )
        latest_ms = event.occurred_at_ms
        yield event


def _lines(path: Path, topic: str, codec: Codec) -> Iterator[Any]:
    """Values of a file of JSON lines; blank lines are skipped."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _decoded(path, number, line.strip(), topic, codec)
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}") from None


def _decoded(path: Path, number: int, line: bytes, topic: str, codec: Codec) -> object:
    try:
        return codec.decode(topic, line)
    except Refused as error:
        raise BadFile(f"{path} line {number}: {error}") from None
