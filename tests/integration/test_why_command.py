"""``streamrec why`` on answers of a real serving worker with a real generation."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamrec.tasks.ranking.lists.reasons import GROUPS
from tests.fakes.language_models import save_tiny_model
from tests.harness.command_line import CommandLine
from tests.harness.serving_loop import Loop, serving_loop

pytestmark = pytest.mark.embedded


@pytest.fixture
def loop(embedded_kafka, embedded_redis, fresh_prefix, tmp_path) -> Iterator[Loop]:
    model = save_tiny_model("bert", tmp_path / "model")
    names = fresh_prefix.topic, fresh_prefix.redis
    with serving_loop(embedded_kafka, embedded_redis, names, model, tmp_path) as loop:
        yield loop


@pytest.fixture
def shell(loop: Loop, tmp_path: Path) -> CommandLine:
    kafka, redis = loop.settings.kafka, loop.settings.redis
    return CommandLine(
        {
            "STREAMREC_STATE_DIR": loop.settings.state_dir,
            "STREAMREC_KAFKA_BOOTSTRAP": kafka.bootstrap,
            "STREAMREC_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "STREAMREC_REDIS_URL": redis.url,
            "STREAMREC_REDIS_KEY_PREFIX": redis.key_prefix,
        },
        tmp_path,
    )


def test_an_answer_is_taken_apart_and_the_parts_make_what_was_published(loop, shell) -> None:
    generation = loop.release()
    loop.worker("serving-1")
    for item in ("item3", "item4", "item5"):
        loop.click("ana", item)
    loop.ask("ana", "r1", k=5)
    [answer] = loop.answered("r1")

    found = shell.json("why", answer.recommendation_id, here=True)
    assert found["problem"] == ""
    assert found["generation"]["generation"] == generation
    assert found["history"] == ["item5", "item4", "item3"]
    assert found["state"]["position"] == answer.state_position == 3
    assert [item["item_id"] for item in found["items"]] == [i.item_id for i in answer.items]
    for item, published in zip(found["items"], answer.items, strict=True):
        parts = sum(item["linear"][group] + item["network"][group] for group in GROUPS)
        assert parts + item["constant"] == pytest.approx(item["score"], abs=1e-3)
        logit = item["scale"] * item["score"] + item["shift"]
        assert 1 / (1 + math.exp(-logit)) == pytest.approx(published.probability, abs=1e-4)
        assert len(item["drivers"]) == 3
    assert any(abs(effect) > 1e-4 for item in found["items"] for effect in item["drivers"])

    page = shell.run_here("why", answer.recommendation_id)
    assert page.returncode == 0, page.stderr
    for text in (generation, "Scores by part", "word5 word6", "What it had learned from"):
        assert text in page.stdout
    assert "do not give the published" not in page.stdout


def test_what_is_not_kept_any_more_is_told_from_the_topic(loop, shell) -> None:
    generation = loop.release()
    loop.worker("serving-1")
    loop.ask("ana", "r1", k=5)
    [answer] = loop.answered("r1")
    redis, key = loop.settings.redis, f"{loop.settings.redis.key_prefix}:why:request:r1"
    from streamrec.infra.stores.redis_client import connect_redis

    with connect_redis(redis) as client:
        assert 0 < client.pttl(key) <= 3_600_000
        client.delete(key)
    page = shell.run_here("why", answer.recommendation_id)
    assert page.returncode == 1
    assert "is not kept" in page.stderr
    assert generation in page.stdout
    assert answer.items[0].item_id in page.stdout
    as_json = shell.run_here("why", answer.recommendation_id, "--json")
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout)["published"]["recommendation_id"] == "request:r1"

    unknown = shell.run_here("why", "request:unheard-of")
    assert unknown.returncode == 1
    assert "request:unheard-of: not on the topic either" in unknown.stderr
    assert "Traceback" not in unknown.stderr
