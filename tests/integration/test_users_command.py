"""``users show`` and ``users forget`` as an operator runs them, under a pseudonym."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from streamrec import settings as reader
from streamrec.core.pseudonym import pseudonym
from streamrec.core.release.manifest import Manifest
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.settings import TrustSettings
from tests.harness.command_line import CommandLine
from tests.harness.feature_worker import CODEC, feature_workers, make_settings, read_topic
from tests.harness.waiting import eventually

KEY = "hush-3301"
NAME = pseudonym(KEY, "ann")


def clicks(*users: str) -> str:
    lines = (
        {"event_id": f"e{n}", "user_id": user, "item_id": f"i{n}", "kind": "click",
         "occurred_at": 1_760_000_000 + n}
        for n, user in enumerate(users)
    )  # fmt: skip
    return "".join(json.dumps(line) + "\n" for line in lines)


def register(settings, name: str, batches: tuple[int, int]) -> None:
    """A generation's manifest: enough for a command that reads nothing else."""
    directory = settings.state_dir / "registry" / name
    directory.mkdir(parents=True)
    made = Manifest(name, None, "e", "m", "d", "f", 0, training={"batches": list(batches)})
    (directory / "manifest.json").write_text(made.to_json())


def examples(settings) -> list[str]:
    """Whose they are."""
    batches = read_topic(settings, "training-batches")
    decoded = (CODEC.decode("training-batches", batch.value) for batch in batches)
    return [example.user_id for batch in decoded for example in batch.examples]


@pytest.mark.slow
@pytest.mark.embedded
def test_a_person_is_shown_and_forgotten_under_a_pseudonym(
    embedded_kafka, embedded_redis, fresh_prefix, tmp_path: Path
) -> None:
    settings = make_settings(embedded_kafka, embedded_redis, fresh_prefix, tmp_path)
    settings = replace(settings, trust=TrustSettings(pseudonym_key=KEY))
    create_topics(settings.kafka)
    command = CommandLine(reader.environment(settings), tmp_path)
    items = "".join(f'{{"item_id": "i{n}", "title": "t"}}\n' for n in range(6))
    assert command.run("items", "load", "-", stdin=items).returncode == 0
    with feature_workers(settings, tmp_path):
        sent = command.run("events", "send", "-", stdin=clicks("ann", "bob", "ann", "ann"))
        assert sent.returncode == 0, sent.stderr
        eventually(lambda: command.json("users", "show", "ann", here=True)["state"], every_s=0.1)
        shown = command.json("users", "show", "ann", here=True)
        assert shown["known_as"] == NAME
        assert set(shown["state"]["h"]) == {"i0", "i2", "i3"}
        eventually(lambda: examples(settings).count(NAME) == 3, every_s=0.1)
        register(settings, "g000001-aaaaaaaa", (0, 0))
        register(settings, "g000002-bbbbbbbb", (0, 1_000))

        done = command.json("users", "forget", "ann")
        assert done["applied"]
        assert [g["generation"] for g in done["generations"]] == ["g000002-bbbbbbbb"]
        assert done["generations"][0]["examples"] == 3
        assert command.json("users", "show", "ann", here=True)["state"] is None
        assert command.json("users", "show", "bob", here=True)["state"] is not None
        said = command.run_here("users", "forget", "ann")
    assert said.returncode == 0, said.stderr
    assert f"--quarantine {done['quarantine']} --user ann" in " ".join(said.stderr.split())
    everything = [r.key + r.value for r in read_topic(settings, "events")]
    assert not any(b'"ann"' in data or data.startswith(b"ann") for data in everything)
    assert KEY not in said.stdout + said.stderr + sent.stdout + sent.stderr
