"""Trainers as processes: batches in, checkpoints and generations out, whatever kills them."""

from __future__ import annotations

import json
import random
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streamrec.apps import reproduce
from streamrec.core.events import DeadLetter
from streamrec.infra.wire.follower import Follower
from streamrec.settings import (
    EncoderSettings,
    KafkaSettings,
    RedisSettings,
    Settings,
    TrainerSettings,
)
from tests.fakes.language_models import save_tiny_model
from tests.harness.servers import new_redis_server
from tests.harness.training_worker import Installation, Stream, installation

KILLS = 5


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("bert", tmp_path_factory.mktemp("model"))


def settings_of(kafka: str, redis: str, prefix, model: Path, root: Path, **how) -> Settings:
    trainer = TrainerSettings(
        release_examples=64, gate_examples=32, swap_timeout_s=1.0, checkpoint_s=0.5
    )
    return Settings(
        state_dir=root / "state",
        kafka=KafkaSettings(bootstrap=kafka, topic_prefix=prefix.topic, partitions=2),
        redis=RedisSettings(url=redis, key_prefix=prefix.redis),
        encoder=EncoderSettings(model=str(model), device="cpu", dtype="float32", threads=1),
        trainer=replace(trainer, **how),
    )


@pytest.fixture
def real(apache_kafka, redis_url, fresh_prefix, language_model, tmp_path) -> Iterator[Installation]:
    settings = settings_of(apache_kafka, redis_url, fresh_prefix, language_model, tmp_path)
    with installation(settings, tmp_path) as place:
        yield place


def learned_everything(place: Installation, stream: Stream) -> bool:
    marks = place.ledger().partitions
    return all(p in marks and marks[p].trained >= n for p, n in stream.sent.items())


def assert_exactly_once(place: Installation, stream: Stream) -> None:
    marks = place.ledger().partitions
    assert {p: (m.trained, m.checksum) for p, m in marks.items()} == stream.checksums()
    assert all(mark.lost == 0 for mark in marks.values())


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_batches_become_an_activated_generation(
    any_servers, fresh_prefix, language_model, tmp_path
) -> None:
    curves = tmp_path / "curves"
    settings = settings_of(
        *any_servers, fresh_prefix, language_model, tmp_path, tensorboard_dir=str(curves)
    )
    stream = Stream()
    with installation(settings, tmp_path) as place:
        trainer = place.trainer("trainer-1")
        trainer.until(lambda: place.state.champion)
        first = place.state.champion
        assert first is not None
        assert first.startswith("g000000-")
        place.send(stream.next_batches(20))
        trainer.until(lambda: place.state.champion != first or "rejected" in trainer.log)
        trainer.until(lambda: learned_everything(place, stream))
        trainer.until(lambda: (s := place.status("trainer-1")) and s.gauges["candidates"] >= 1)
        assert trainer.terminate() == 0
        assert place.status("trainer-1") is None
        assert_exactly_once(place, stream)
        assert list(curves.iterdir())
        for generation in place.registry.generations():
            check_generation(place, generation)
        made = [g for g in place.registry.generations() if not g.startswith("g000000")]
        assert made


def check_generation(place: Installation, generation: str) -> None:
    """Plain PEFT loads it, and the manifest says where it comes from."""
    from peft import PeftModel
    from transformers import AutoModel

    directory = place.registry.get(generation)
    base = AutoModel.from_pretrained(place.settings.encoder.model)
    model = PeftModel.from_pretrained(base, str(directory))
    assert any("lora" in name for name, _ in model.named_parameters())
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["generation"] == generation
    if not generation.startswith("g000000"):
        assert manifest["parent"] in place.registry.generations()
        assert manifest["gate"]["examples"] >= 32
        assert manifest["training"]["examples"] >= 64
        assert manifest["settings"]["encoder"]["rank"] == 8


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.apache_kafka
@pytest.mark.redis_server
def test_killed_again_and_again_it_trains_each_example_once(real: Installation) -> None:
    stream, rng, killed = Stream(), random.Random(7), threading.Event()
    trainer = real.trainer("trainer-1")
    trainer.until(lambda: real.state.champion)

    def produce() -> None:
        while not killed.is_set():
            batches = stream.next_batches(2)
            real.send([*batches, *(batches if rng.random() < 0.2 else [])])  # sometimes again
            time.sleep(0.2)

    producer = threading.Thread(target=produce)
    producer.start()
    try:
        for _ in range(KILLS):
            time.sleep(rng.uniform(1.0, 4.0))
            real.kill(trainer)
            trainer.start()
    finally:
        killed.set()
        producer.join()
    trainer.until(lambda: learned_everything(real, stream))
    assert trainer.terminate() == 0
    assert_exactly_once(real, stream)
    generations = real.registry.generations()
    numbers = [name.split("-")[0] for name in generations]
    assert len(numbers) == len(set(numbers))
    assert real.state.champion in generations


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.apache_kafka
@pytest.mark.redis_server
def test_two_trainers_never_train_at_once(real: Installation) -> None:
    stream = Stream()
    first = real.trainer("trainer-1")
    first.until(lambda: real.state.champion)
    second = real.trainer("trainer-2")
    second.until(lambda: "trainer-1/" in second.log)
    place = stream.next_batches(4)
    real.send(place)
    first.until(lambda: learned_everything(real, stream))
    assert "beginning" not in second.log
    assert "resuming" not in second.log
    first.kill()
    second.until(lambda: "resuming" in second.log)  # the lease of the dead has run out
    real.send(stream.next_batches(4))
    second.until(lambda: learned_everything(real, stream))
    assert second.terminate() == 0
    assert_exactly_once(real, stream)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.apache_kafka
@pytest.mark.redis_server
def test_bad_batches_are_kept_as_dead_letters(real: Installation) -> None:
    stream = Stream()
    follower = Follower(real.settings.kafka, real.codec, ["dead-letter"], "test", from_start=True)
    trainer = real.trainer("trainer-1")
    good = stream.next_batches(4)
    real.send_raw(b"0", b"\xc3\x01 not a batch")
    real.send([replace(good[0], feature_set="of-another-version"), *good])
    trainer.until(lambda: learned_something(real))
    assert trainer.terminate() == 0
    letters = [seen.value for seen in follower.poll(5.0)]
    follower.close()
    assert all(isinstance(letter, DeadLetter) for letter in letters)
    assert [(letter.topic, letter.offset) for letter in letters] == [
        ("training-batches", 0),
        ("training-batches", 1),
    ]
    assert letters[0].value == b"\xc3\x01 not a batch"
    assert "of-another-version" in letters[1].reason
    mark = real.ledger().partitions[0]
    assert mark.holes == ((0, 16),)  # refused once, it is never trained, also when sent again
    assert mark.trained == 16


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.apache_kafka
@pytest.mark.redis_server
def test_another_rank_back_again_and_a_lost_disk(real: Installation) -> None:
    """One loop: the champion answers throughout, and each example is learned once by each line."""
    stream, settings = Stream(), real.settings
    settings = real.settings = replace(settings, trainer=replace(settings.trainer, snapshots=99))
    first, old = life(real, stream, "rank-8")
    assert "beginning untrained" in first

    real.settings = replace(settings, encoder=replace(settings.encoder, rank=4))
    changed, new = life(real, stream, "rank-4")
    assert "STREAMREC_ENCODER_RANK 8, now 4" in changed
    assert f"champion: {old}" in changed
    assert "going on at mini-batch" in changed
    made = manifests(real)
    heir = min(g for g in made if g > old and made[g]["training"]["restarts"])
    assert made[heir]["gate"]["champion"] == old

    state = settings.state_dir
    for name in ("checkpoints", "snapshots"):
        (state / name).rename(state / f"lost-{name}")
    lost, newest = life(real, stream, "lost")
    assert f"learning goes on from the champion {new}" in lost
    known, made = made.keys(), manifests(real)
    after = min(g for g in made if g not in known and made[g]["gate"]["accepted"])
    assert made[after]["parent"] == new
    (restart,) = made[after]["training"]["restarts"]
    assert restart["why"] == f"there was no checkpoint: the weights of {new}"
    assert reproduce.run(real.settings, after, print).made.identical

    shutil.rmtree(state / "checkpoints")
    (state / "lost-checkpoints").rename(state / "checkpoints")
    real.settings = settings
    back, _ = life(real, stream, "rank-8-again")
    assert "resuming at mini-batch" in back
    assert f"champion: {newest}" in back


def life(place: Installation, stream: Stream, name: str) -> tuple[str, str]:
    """A trainer that learns more and ends: what it said, and the champion then.

    Until one of its own candidates is champion.
    """
    trainer, before = place.trainer(name), place.state.champion
    trainer.until(lambda: place.state.champion)
    known = set(place.registry.generations())

    def ours() -> bool:
        place.send(stream.next_batches(2))
        champion = place.state.champion
        return champion != before and champion not in known

    trainer.until(ours)
    trainer.until(lambda: learned_everything(place, stream))
    assert trainer.terminate() == 0
    assert_exactly_once(place, stream)
    return trainer.log, str(place.state.champion)


def manifests(place: Installation) -> dict[str, dict]:
    return {
        g: json.loads((place.registry.get(g) / "manifest.json").read_text())
        for g in place.registry.generations()
    }


def learned_something(place: Installation) -> bool:
    marks = place.ledger().partitions
    return 0 in marks and marks[0].trained == 16 and 1 in marks and marks[1].trained == 32


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.apache_kafka
@pytest.mark.redis_server
def test_redis_away_is_waited_for(apache_kafka, fresh_prefix, language_model, tmp_path) -> None:
    stream = Stream()
    with new_redis_server(tmp_path / "redis") as redis:
        url, port = redis.url, int(redis.url.rsplit(":", 1)[1].split("/")[0])
        settings = settings_of(apache_kafka, url, fresh_prefix, language_model, tmp_path)
        with installation(settings, tmp_path) as place:
            trainer = place.trainer("trainer-1")
            trainer.until(lambda: place.state.champion)
            redis.kill()
            place.send(stream.next_batches(4))
            trainer.until(lambda: "; waiting" in trainer.log)
            again = type(redis)(tmp_path / "redis", port)
            with again:
                trainer.until(lambda: learned_everything(place, stream))
                trainer.until(lambda: "back; training goes on" in trainer.log)
                assert trainer.terminate() == 0
                assert_exactly_once(place, stream)
