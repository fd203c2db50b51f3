"""What the clients are told, and the partitioner they share with Java."""

import ssl

import pytest
from kafka.errors import OutOfOrderSequenceNumberError
from kafka.future import Future

from streamrec.errors import Unavailable
from streamrec.infra.wire.kafka import (
    KafkaPublisher,
    client_config,
    make_consumer,
    make_producer,
    partition_for,
)
from streamrec.settings import KafkaSettings, SecurityProtocol
from tests.harness.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "ca")


@pytest.mark.parametrize(
    ("key", "murmur2"),  # org.apache.kafka.common.utils.UtilsTest
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_partitions_are_those_of_the_java_client(key, murmur2):
    for partitions in (1, 4, 7, 100):
        assert partition_for(key, partitions) == (murmur2 & 0x7FFFFFFF) % partitions


class LosingProducer:
    """Sends nothing; what waits behind a message that failed is given up with it."""

    def __init__(self, *args, **how) -> None:
        self.sent: list[Future] = []
        self._accumulator = self

    def send(self, name, **message):
        self.sent.append(Future())
        return self.sent[-1]

    def abort_undrained_batches(self, error):
        waiting, self.sent = self.sent, []
        for future in waiting:
            if not future.is_done:
                future.failure(error)

    def flush(self, timeout):
        pass

    def close(self, timeout):
        pass


def test_a_message_that_fails_takes_those_behind_it_along_and_is_told_to_whoever_comes():
    producer = LosingProducer()
    made = [producer, LosingProducer()]
    publisher = KafkaPublisher(KafkaSettings(), "test", connect=lambda *_, **__: made.pop(0))
    publisher.publish("events", b"u", b"first")
    publisher.publish("events", b"u", b"second")
    producer.sent[0].failure(OutOfOrderSequenceNumberError())
    assert publisher.failures == 2
    with pytest.raises(Unavailable, match="an earlier message was not acknowledged"):
        publisher.publish("events", b"u", b"third")
    publisher.flush()
    assert publisher.failures == 2


def test_sasl_over_tls(authority):
    settings = KafkaSettings(
        bootstrap="a:1,b:2",
        security_protocol=SecurityProtocol.SASL_SSL,
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="u",
        sasl_password="p",
        ssl_cafile=str(authority.file),
    )
    config = client_config(settings)
    assert config["bootstrap_servers"] == ["a:1", "b:2"]
    assert config["security_protocol"] == "SASL_SSL"
    assert config["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (config["sasl_plain_username"], config["sasl_plain_password"]) == ("u", "p")
    assert config["ssl_context"].verify_mode is ssl.CERT_REQUIRED


def test_plaintext_says_nothing_of_secrets():
    config = client_config(KafkaSettings(bootstrap="a:1"))
    assert not [name for name in config if name.startswith(("ssl", "sasl"))]


def test_a_silent_broker_is_unavailable():
    settings = KafkaSettings(bootstrap="127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"Kafka at 127\.0\.0\.1:9: connecting a producer"):
        make_producer(settings, "test", bootstrap_timeout_ms=500)
    with pytest.raises(Unavailable, match="connecting a consumer"):
        make_consumer(settings, bootstrap_timeout_ms=500)
