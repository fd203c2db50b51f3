"""OAUTHBEARER on Apache Kafka: tokens of a real endpoint or of a callable, renewed while in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from streamrec.core.events import Interaction, Kind, Source
from streamrec.errors import Unavailable, UserError
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.wire.kafka import KafkaPublisher, make_consumer, make_producer
from streamrec.infra.wire.kafka_diagnosis import why_no_kafka
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.settings import KafkaSettings, RedisSettings, Settings
from tests.harness.feature_worker import feature_workers, send_events
from tests.harness.oauth import (
    CLIENT,
    SECRET,
    OAuthKafka,
    TokenServer,
    oauth_kafka,
    token_server,
    unsigned,
)
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.apache_kafka, pytest.mark.xdist_group("oauth Kafka")]
LASTS_S = 4


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OAuthKafka]:
    with oauth_kafka(tmp_path_factory.mktemp("oauth")) as found:
        yield found


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with token_server(LASTS_S) as found:
        yield found


@pytest.fixture
def client(kafka: OAuthKafka, tokens: TokenServer, fresh_prefix) -> KafkaSettings:
    return kafka.settings(
        fresh_prefix.topic,
        sasl_oauth_token_url=tokens.url,
        sasl_oauth_scope="kafka.all",
        sasl_username=CLIENT,
        sasl_password=SECRET,
    )


def one_each_way(client: KafkaSettings) -> None:
    create_topics(client)
    with closing(KafkaPublisher(client, "t")) as publisher:
        publisher.publish("events", b"ann", b"one")
        publisher.flush()
    with closing(make_consumer(client, ["events"], group="g")) as consumer:
        assert eventually(lambda: consumer.poll(500))


def provide() -> tuple[str, int]:
    """As a cloud's signer gives it: the token, and when it expires (ms)."""
    return unsigned(LASTS_S), 0


def fail() -> str:
    raise RuntimeError("no credentials in this account")


@pytest.mark.redis_server
def test_workers_go_on_over_many_tokens_and_while_the_endpoint_is_away(
    client: KafkaSettings, tokens: TokenServer, redis_url: str, fresh_prefix, tmp_path: Path
) -> None:
    create_topics(client)
    redis = RedisSettings(url=redis_url, key_prefix=fresh_prefix.redis)
    settings = Settings(state_dir=tmp_path / "state", kafka=client, redis=redis)
    store = RedisPartitionStore(connect_redis(redis), redis.key_prefix)
    sent = 0

    def send(publisher: KafkaPublisher) -> bool:
        """One more; whether it was applied."""
        nonlocal sent
        event = Interaction(f"e{sent}", "ann", "i1", Kind.CLICK, 1_700_000_000_000 + sent)
        send_events(publisher, [event])
        sent += 1
        eventually(lambda: store.position(Source("events", 0)) == sent)
        return True

    with (
        closing(KafkaPublisher(client, "t")) as publisher,
        feature_workers(settings, tmp_path) as workers,
    ):
        send(publisher)
        first = len(tokens.forms)
        eventually(lambda: send(publisher) and len(tokens.forms) > first + 3, every_s=0.5)
        tokens.down = True
        refused = len(tokens.forms)
        eventually(lambda: len(tokens.forms) > refused + 3, every_s=0.5)
        tokens.down = False
        send(publisher)
        assert workers[0].running
        assert "answers 503" in workers[0].log
        assert "Traceback" not in workers[0].log
    assert tokens.forms[0] == {"grant_type": ["client_credentials"], "scope": ["kafka.all"]}


def test_who_gets_no_token_waits_and_says_why(client: KafkaSettings, tokens: TokenServer) -> None:
    wrong = replace(client, sasl_password="wrong")
    assert "answers 401" in (why_no_kafka(wrong) or "")
    assert "invalid_client" in (why_no_kafka(wrong) or "")
    with pytest.raises(Unavailable, match=r"connecting a producer: the token endpoint .* 401"):
        make_producer(wrong, "t", bootstrap_timeout_ms=1_000)
    away = replace(client, sasl_oauth_token_url="http://127.0.0.1:9/token")
    assert "no token from http://127.0.0.1:9/token" in (why_no_kafka(away) or "")
    tokens.lasts_s = -60
    assert "it refuses the token" in (why_no_kafka(replace(client, topic_prefix="other.")) or "")


def test_a_callable_gives_tokens(kafka: OAuthKafka, fresh_prefix) -> None:
    client = kafka.settings(fresh_prefix.topic, sasl_oauth_provider=f"{__name__}:provide")
    one_each_way(client)
    assert why_no_kafka(client) is None
    failing = replace(client, sasl_oauth_provider=f"{__name__}:fail")
    assert "no credentials in this account" in (why_no_kafka(failing) or "")
    for nobody in ("no_such_module:token", f"{__name__}:no_such_name", "justaname"):
        with pytest.raises(UserError, match="must be module:callable"):
            why_no_kafka(replace(client, sasl_oauth_provider=nobody))
