"""Curves, and a run for each generation, in the tools themselves; none of them is in the way."""

from __future__ import annotations

import logging
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from streamrec.errors import UserError
from streamrec.infra.tracking.run_record import numbers, parameters, tags
from streamrec.infra.tracking.trackers import WAITING, BackgroundTracker, open_tracker
from streamrec.ports import Sealed, Tracker
from streamrec.settings import Settings, TrackerKind, TrainerSettings
from tests.fakes.generations import draft
from tests.harness.waiting import eventually

COMPARED = {
    "candidate": 0.6,
    "champion": 0.5,
    "difference": 0.1,
    "standard_error": 0.02,
    "n": 200,
}
GATE = {
    "accepted": False,
    "reasons": ["log_loss is worse", "too far"],
    "champion": "g000001-00000000",
    "examples": 200,
    "metrics": {"log_loss": COMPARED, "auc/café:1": COMPARED | {"champion": None}},
    "references": {},
    "norms": {"update_norm/head": 0.25},
}


def sealed(generation: str, parent: str | None, gate: Mapping | None = GATE) -> Sealed:
    manifest = draft(
        generation=generation,
        parent=parent,
        gate=gate,
        training={"examples": 500},
        settings={"learning": {"rate": 0.001}, "encoder": {"adapter": "lora", "rank": 8}},
        files={"head.safetensors": "ab" * 32},
    )
    return Sealed(manifest, "cd" * 32)


FIRST, SECOND = "g000000-00000000", "g000001-11111111"


def settings(kind: TrackerKind = TrackerKind.NONE, curves: str = "") -> Settings:
    return replace(Settings(), trainer=TrainerSettings(tracker=kind, tensorboard_dir=curves))


def tell(tracker: Tracker) -> None:
    """Two generations, and what became of the second."""
    tracker.made(sealed(FIRST, None, None), 0)
    tracker.write(450, {"loss/rank": 0.7})
    tracker.write(500, {"loss/rank": 0.5})
    tracker.made(sealed(SECOND, FIRST), 500)
    tracker.settled(SECOND, "rejected")
    tracker.close()


def test_a_run_has_what_shaped_the_generation_and_what_was_thought_of_it() -> None:
    one = sealed(SECOND, FIRST)
    assert parameters(one.manifest) == {
        "base_model": "tiny-bert",
        "encoder_version": "v",
        "feature_set": "features-1",
        "learning.rate": "0.001",
        "encoder.adapter": "lora",
        "encoder.rank": "8",
    }
    found = numbers(one.manifest, {"loss/rank": 0.5})
    assert found["gate/log_loss/difference"] == 0.1
    assert found["gate/update_norm/head"] == 0.25
    assert found["loss/rank"] == 0.5
    assert "gate/auc/café_1/candidate" in found
    assert "gate/auc/café_1/champion" not in found
    assert tags(one)["streamrec.verdict"] == "rejected"
    assert tags(one)["streamrec.reasons"] == "log_loss is worse; too far"
    assert tags(sealed(FIRST, None, None))["streamrec.verdict"] == "first champion"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of SQLAlchemy, to MLflow
def test_mlflow_has_a_run_for_each_generation_nested_in_its_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'runs.db'}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "films")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)
    from mlflow import MlflowClient

    from streamrec.infra.tracking.mlflow_runs import MlflowRuns

    tell(MlflowRuns())
    tell(MlflowRuns())  # a trainer that is started again

    client = MlflowClient()
    experiment = client.get_experiment_by_name("films")
    runs = client.search_runs([experiment.experiment_id])
    by_name = {run.info.run_name: run for run in runs}
    assert sorted(by_name) == [FIRST, SECOND]
    assert len(runs) == 2
    second = by_name[SECOND].data
    assert second.tags["mlflow.parentRunId"] == by_name[FIRST].info.run_id
    assert second.tags["streamrec.parent"] == FIRST
    assert second.tags["streamrec.outcome"] == "rejected"
    assert second.tags["streamrec.digest"] == "cd" * 32
    assert second.tags["streamrec.digest.head.safetensors"] == "ab" * 32
    assert second.params["learning.rate"] == "0.001"
    assert second.metrics["gate/log_loss/candidate"] == 0.6
    assert second.metrics["loss/rank"] == 0.5
    assert {run.info.status for run in runs} == {"FINISHED"}


def records(log: bytes) -> Iterator[bytes]:
    """Of a file in the format of LevelDB's logs: blocks of 32 KiB, parts behind 7 bytes each."""
    at, parts = 7, b""
    while at < len(log):
        if 0x8000 - at % 0x8000 < 7:
            at += 0x8000 - at % 0x8000
            continue
        length, kind = struct.unpack_from("<HB", log, at + 4)
        parts += log[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def written(directory: Path) -> dict[str, str]:
    """What the files of runs say: a run's settings under its name, numbers and texts under theirs,
    the latest file's."""
    from wandb.proto.wandb_internal_pb2 import Record

    said: dict[str, str] = {}
    for file in sorted(directory.glob("wandb/offline-run-*/run-*.wandb")):
        for data in records(file.read_bytes()):
            record = Record()
            record.ParseFromString(data)
            run = record.run
            said |= {f"{run.run_id} {c.key}": c.value_json for c in run.config.update}
            said |= {f"{run.run_id} group": run.run_group} if run.run_group else {}
            updates = [*record.summary.update, *record.history.item]
            said |= {".".join(u.nested_key) or u.key: u.value_json for u in updates}
    return said


def test_wandb_writes_a_run_for_each_generation_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    from streamrec.infra.tracking.wandb_runs import WandbRuns

    tell(WandbRuns())
    said = written(tmp_path)
    assert said[f"{SECOND} group"] == FIRST
    assert said[f"{SECOND} learning.rate"] == '"0.001"'
    assert said["gate/log_loss/candidate"] == "0.6"
    assert said["streamrec.verdict"] == '"rejected"'
    assert said["streamrec.outcome"] == '"rejected"'


def test_curves_are_written_and_read_back(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    tracker = open_tracker(settings(curves=str(tmp_path)))
    tracker.write(3, {"loss/rank": 0.5, "lag": 2.0})
    tracker.close()
    (file,) = tmp_path.iterdir()
    points = {
        (value.tag, event.step): value.tensor.float_val[0] if value.HasField("tensor")
        else value.simple_value
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
    }  # fmt: skip
    assert points == {("loss/rank", 3): 0.5, ("lag", 3): 2.0}


@pytest.mark.parametrize(
    ("package", "asked"),
    [
        ("tensorboard", settings(curves="here")),
        ("mlflow", settings(TrackerKind.MLFLOW)),
        ("wandb", settings(TrackerKind.WANDB)),
    ],
)
def test_a_missing_package_says_what_to_do(package: str, asked: Settings) -> None:
    with pytest.raises(UserError, match=rf"pip install 'streamrec\[{package}\]'"):
        open_tracker(asked, installed=lambda name: name != package)


def test_nothing_is_told_where_nothing_is_asked_for(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    tracker = open_tracker(settings())
    tell(tracker)
    assert tracker.failures == 0
    assert not list(tmp_path.iterdir())


class Noted(Tracker):
    def __init__(self) -> None:
        self.steps: list[int] = []

    def write(self, step: int, values: Mapping[str, float]) -> None:
        del values
        self.steps.append(step)


class Broken(Tracker):
    def write(self, step: int, values: Mapping[str, float]) -> None:
        raise ConnectionError("no route\nto host")


def test_one_that_fails_is_counted_and_said_and_the_others_are_told(caplog) -> None:
    noted = Noted()

    def never() -> Tracker:
        raise ImportError("half installed")

    with caplog.at_level(logging.WARNING):
        tracker = BackgroundTracker({"a": Broken, "b": lambda: noted, "c": never})
        tracker.write(1, {})
        tracker.write(2, {})
        tracker.close()
    assert noted.steps == [1, 2]
    assert tracker.failures == 3
    assert "a is not told (ConnectionError: no route to host); training goes on" in caplog.text
    assert "c is not told (ImportError: half installed)" in caplog.text


def test_one_that_hangs_holds_nobody_up() -> None:
    hangs, begun = threading.Event(), threading.Event()

    class Slow(Noted):
        def write(self, step: int, values: Mapping[str, float]) -> None:
            begun.set()
            hangs.wait()
            super().write(step, values)

    slow = Slow()
    tracker = BackgroundTracker({"slow": lambda: slow})
    tracker.write(0, {})
    begun.wait()
    for step in range(1, WAITING + 3):
        tracker.write(step, {})
    assert tracker.failures == 2
    hangs.set()
    eventually(lambda: len(slow.steps) == WAITING + 1)
    tracker.close()
