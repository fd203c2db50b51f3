"""Variants from ``items load`` to ``copy stop``, over a feature worker, a broker and Redis."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from streamrec import settings as reader
from streamrec.core.variants.credit import named
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.settings import CopySettings
from tests.harness.command_line import CommandLine
from tests.harness.feature_worker import feature_workers, make_settings
from tests.harness.waiting import eventually

WORDS = {"x": "One way", "y": "Another way"}


def item(item_id: str, **titles: str) -> str:
    variants = [{"variant_id": name, "title": title} for name, title in titles.items()]
    return json.dumps({"item_id": item_id, "title": "Plain", "variants": variants}) + "\n"


def seen(user: str, variant: str, *kinds: str) -> str:
    """Events that name a list on which the item was shown so."""
    name = named(f"request:{user}", user, {"a": variant})
    lines = (
        {"event_id": f"{user}-{kind}", "user_id": user, "item_id": "a", "kind": kind,
         "occurred_at": 1_760_000_000, "recommendation_id": name}
        for kind in kinds
    )  # fmt: skip
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.mark.slow
@pytest.mark.embedded
def test_variants_are_counted_once_shown_and_stopped(
    embedded_kafka, embedded_redis, fresh_prefix, tmp_path: Path
) -> None:
    (tmp_path / "blocked").write_text("shocking\n")
    settings = make_settings(embedded_kafka, embedded_redis, fresh_prefix, tmp_path)
    settings = replace(settings, copy=CopySettings(blocked_file=str(tmp_path / "blocked")))
    create_topics(settings.kafka)
    command = CommandLine(reader.environment(settings), tmp_path)
    items = item("a", **WORDS) + item("b", **WORDS | {"x": "A shocking way"})
    assert command.run("items", "load", "-", stdin=items).returncode == 0
    events = "".join(
        seen(f"u{n}", "xy"[n % 2], "view", *(["click"] if n % 4 == 1 else [])) for n in range(12)
    )
    with feature_workers(settings, tmp_path):
        for _ in range(2):  # a producer that sends everything again
            assert command.run("events", "send", "-", stdin=events).returncode == 0
        last = seen("u99", "x", "view")
        assert command.run("events", "send", "-", stdin=last).returncode == 0

        def counts() -> dict[str, tuple[int, int]]:
            (test,) = command.json("copy", "list", here=True)
            arms = test["variants"]
            return {arm["variant_id"]: (arm["views"], arm["clicks"]) for arm in arms}

        eventually(lambda: command.json("copy", "list", here=True), every_s=0.2)
        eventually(lambda: counts() == {"x": (7, 0), "y": (6, 3)}, every_s=0.2)
        (letter,) = command.json("dead-letter", "list", here=True)["letters"]
        assert "variant 'x' of 'b' has 'shocking'" in letter["reason"]

        unknown = command.run("copy", "stop", "a", "--winner", "z")
        assert unknown.returncode == 1
        assert "it has x, y" in unknown.stderr
        assert command.run("copy", "stop", "a", "--winner", "y").returncode == 0
        eventually(lambda: command.json("copy", "list", here=True) == [], every_s=0.2)
