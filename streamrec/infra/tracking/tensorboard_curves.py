"""Curves as TensorBoard event files in a directory. Needs the extra ``tensorboard``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from streamrec.ports import Tracker


class TensorBoardCurves(Tracker):
    """One point per step on each curve."""

    def __init__(self, directory: Path) -> None:
        self._writer = EventFileWriter(str(directory))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        points = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        now_s = datetime.now(UTC).timestamp()
        self._writer.add_event(Event(wall_time=now_s, step=step, summary=Summary(value=points)))

    def close(self) -> None:
        self._writer.close()
