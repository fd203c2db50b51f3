"""State of two installations, mixed up as people mix it up, on Apache Kafka and a real Redis."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streamrec.apps import clients, identities
from streamrec.cli.doctor import CheckResult, guarded, identity
from streamrec.core.events import Source
from streamrec.core.identity import Identity
from streamrec.errors import UserError
from streamrec.infra.stores.checkpoints import DirectoryCheckpoints
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.ports import Writes
from streamrec.settings import KafkaSettings, RedisSettings, Settings, TrustSettings
from tests.harness.worker_process import WorkerProcess

pytestmark = [pytest.mark.apache_kafka, pytest.mark.redis_server, pytest.mark.slow]


def confirmed(settings: Settings, role: str = "trainer") -> Identity:
    with clients.redis(settings) as client:
        return identities.confirmed(settings, role, client)


def everything(settings: Settings) -> dict[str, Any]:
    """What could have been changed."""
    with clients.redis(settings) as client:
        keys = sorted(client.scan_iter(f"{settings.redis.key_prefix}:*"))
        return {
            "redis": {k: client.get(k) for k in keys},
            "said": identities.said(settings, client),
        }


@pytest.fixture
def two(apache_kafka, redis_url, fresh_prefix, tmp_path: Path) -> list[Settings]:
    """Production and staging, on one cluster and one Redis, each started once."""
    made = []
    for name in ("prod", "staging"):
        kafka = KafkaSettings(apache_kafka, topic_prefix=f"{name}.{fresh_prefix.topic}")
        redis = RedisSettings(redis_url, key_prefix=f"{name}{fresh_prefix.redis}")
        settings = Settings(state_dir=tmp_path / name, kafka=kafka, redis=redis)
        create_topics(kafka)
        whole = confirmed(settings, "features")
        assert whole.cluster
        assert not whole.installation
        named = confirmed(settings)
        assert confirmed(settings, "serving") == confirmed(settings) == named
        root = settings.state_dir / "checkpoints"
        DirectoryCheckpoints(root, installation=named.installation).save(
            {"ledger": {}}, lambda _: None
        )
        made.append(settings)
    return made


@pytest.mark.timeout(300)
def test_who_notices_first_stops_and_names_the_two(two: list[Settings], tmp_path: Path) -> None:
    prod, staging = two
    mixed = {
        "Redis": replace(prod, redis=staging.redis),
        "Kafka": replace(prod, kafka=staging.kafka),
        "the registry": replace(prod, registry_url=str(staging.state_dir / "registry")),
    }
    for role, place in [("trainer", p) for p in mixed] + [
        ("serving", "Redis"),
        ("features", "Redis"),
    ]:
        before = everything(mixed[place])
        with pytest.raises(UserError, match="do not belong together") as told:
            confirmed(mixed[place], role)
        assert place in str(told.value)
        assert everything(mixed[place]) == before
    registry = str(prod.state_dir / "registry")
    copied = replace(prod, state_dir=tmp_path / "copied", registry_url=registry)
    shutil.copytree(staging.state_dir / "checkpoints", copied.state_dir / "checkpoints")
    with pytest.raises(UserError, match="the checkpoints in"):
        confirmed(copied)

    # a worker ends, and says so in a line
    worker = WorkerProcess("features", "features-1", mixed["Redis"], tmp_path / "features.log")
    worker.start()
    assert worker.wait() != 0
    assert "do not belong together" in worker.log
    assert "Traceback" not in worker.log

    # a Redis that was emptied is told again, and the doctor agrees
    with clients.redis(prod) as client:
        client.delete(identities.redis_key(prod))
    assert confirmed(prod, "features").cluster
    assert confirmed(prod).installation
    (fine,) = guarded("identity", identity, prod)
    (wrong,) = guarded("identity", identity, mixed["the registry"])
    assert (fine.verdict, wrong.verdict) == (CheckResult.OK, CheckResult.PROBLEM)
    assert "the registry" in wrong.detail


def test_a_redis_of_last_week_and_another_pseudonym_key_are_told(two: list[Settings]) -> None:
    settings = two[0]
    source = Source("events", 0)
    ledger = {
        "0": {
            "position": [900, 0], "spans": [], "holes": [], "trained": 900, "quarantined": 0,
            "seen_again": 0, "lost": 0, "checksum": "0",
        }
    }  # fmt: skip
    root = settings.state_dir / "checkpoints"
    DirectoryCheckpoints(root).save({"ledger": ledger}, lambda _: None)
    with clients.redis(settings) as client:
        assert identities.behind(settings, client) == []  # an empty one begins from the start
        clients.partition_store(settings, client).commit(source, 0, 400, Writes())
        (said,) = identities.behind(settings, client)
        assert "up to 900" in said
        assert "stands at 400" in said
        _, told = guarded("identity", identity, settings)
        assert told.verdict is CheckResult.PROBLEM
        clients.partition_store(settings, client).commit(source, 400, 900, Writes())
        assert identities.behind(settings, client) == []

    one, other = (replace(settings, trust=TrustSettings(pseudonym_key=key)) for key in ("k1", "k2"))
    identities.check_pseudonyms(one)
    identities.check_pseudonyms(one)
    identities.check_pseudonyms(settings)  # who has no key knows nobody by it
    with pytest.raises(UserError, match="STREAMREC_TRUST_PSEUDONYM_KEY and Redis"):
        identities.check_pseudonyms(other)
