"""Clicks from CSV, from Parquet, and in two goes: on the topic under the same ids, counted once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from streamrec import settings as reader
from streamrec.infra.wire.kafka_topics import create_topics
from tests.harness.command_line import CommandLine
from tests.harness.feature_worker import CODEC, feature_workers, make_settings, read_topic
from tests.harness.waiting import PATIENCE_S, eventually

START_S = 1_772_366_400
CLICKS = [(f"u{n % 7}", n % 11, START_S + 60 * n) for n in range(300)]
HOW = (
    *("--map", "user_id=who", "--map", "item_id=product", "--map", "occurred_at=ts"),
    *("--set", "kind=click"),
)


def csv(clicks: list[tuple[str, int, int]]) -> str:
    return "".join(f"{who};{product};{ts}\n" for who, product, ts in clicks)


def parquet(path: Path) -> None:
    who, product, ts = zip(*CLICKS, strict=True)
    at = pa.array([1_000 * one for one in ts], pa.timestamp("ms", "UTC"))
    pq.write_table(pa.table({"who": who, "product": product, "ts": at}), path, row_group_size=100)


@pytest.mark.slow
@pytest.mark.embedded
def test_a_click_is_one_click_from_whichever_file_it_comes(
    embedded_kafka, embedded_redis, fresh_prefix, tmp_path: Path
) -> None:
    settings = make_settings(embedded_kafka, embedded_redis, fresh_prefix, tmp_path)
    create_topics(settings.kafka)
    command = CommandLine(reader.environment(settings), tmp_path)

    def sent() -> list[str]:
        records = read_topic(settings, "events")
        return [CODEC.decode("events", record.value).event_id for record in records]

    # a pipe that stays open, ended by Ctrl-C
    os.mkfifo(tmp_path / "clicks.csv")
    with (
        command.started("events", "send", "clicks.csv", *HOW) as loading,
        (tmp_path / "clicks.csv").open("w") as pipe,
    ):
        pipe.write("who;product;ts\n" + csv(CLICKS[:50]))
        pipe.flush()
        eventually(lambda: len(sent()) == 50, what="what has come so far is sent")
        loading.send_signal(signal.SIGINT)
        assert loading.wait(PATIENCE_S) == 130
    told = (tmp_path / "events.out").read_text()
    skipped = int(told.split("go on with --skip ")[1].split(",")[0])
    assert skipped in (49, 50)

    # gone on with, from a packed file; then all of it again, from Parquet
    (tmp_path / "clicks.csv").unlink()
    whole = ("who;product;ts\n" + csv(CLICKS) + "u1;;1772366400\n").encode()
    (tmp_path / "clicks.csv.zst").write_bytes(zstandard.ZstdCompressor().compress(whole))
    done = command.run("events", "send", "clicks.csv.zst", *HOW, "--skip", str(skipped))
    assert done.returncode == 1, done.stderr
    assert "clicks.csv.zst line 302: item_id is missing" in done.stderr
    assert f"{300 - skipped} events sent, 1 refused" in done.stderr
    assert len(set(sent())) == 300
    with feature_workers(settings, tmp_path):
        parquet(tmp_path / "clicks.parquet")
        told = command.json("events", "send", "clicks.parquet", *HOW)
        assert (told["sent"], told["refused"], told["format"]) == (300, [], "Parquet")
        assert len(set(sent())) == 300, "the same ids"
        eventually(lambda: folded(command), what="all are folded", every_s=0.2)
    assert len(read_topic(settings, "user-updates")) == 300, "each counted once"


def folded(command: CommandLine) -> bool:
    flows = {flow["topic"]: flow for flow in command.json("status", here=True)["topics"]}
    return flows["events"]["lag"] == 0 and flows["user-updates"]["written"] >= len(CLICKS)
