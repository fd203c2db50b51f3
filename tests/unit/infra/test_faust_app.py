"""How faust is set up; what it then does is tested on real brokers."""

from __future__ import annotations

import asyncio

import pytest
from faust.auth import SASLCredentials

from streamrec.errors import UserError
from streamrec.infra.feeds.faust_app import FAUST, Consumer, make_app
from streamrec.infra.feeds.feed import TP, Feed
from streamrec.settings import KafkaSettings, SecurityProtocol


def app_of(tmp_path, installed=FAUST, **changes):
    kafka = KafkaSettings(bootstrap="a:1,b:2", topic_prefix="x.", **changes)

    async def make():
        feed = Feed(kafka, None, 500, dict)
        return make_app(kafka, "features-1", feed, tmp_path / "faust", installed=installed)

    return asyncio.run(make())


def test_another_faust_is_refused(tmp_path):
    with pytest.raises(UserError, match=rf"0\.0\.1 is installed.* of {FAUST}: pip install"):
        app_of(tmp_path, installed="0.0.1")


def test_faust_decides_membership_and_nothing_else(tmp_path):
    conf = app_of(tmp_path, session_timeout_s=8.0).conf
    assert conf.id == "x.features"
    assert [str(url) for url in conf.broker_consumer] == ["aiokafka://a:1", "aiokafka://b:2"]
    assert conf.broker_client_id == "features-1"
    assert conf.broker_session_timeout == 8.0
    assert conf.broker_request_timeout >= conf.broker_session_timeout
    assert conf.table_standby_replicas == 0
    assert not conf.web_enabled
    assert not conf.topic_allow_declare


def test_our_consumer_is_the_one_faust_makes(tmp_path):
    assert app_of(tmp_path).transport.Consumer is Consumer


class Driver(Consumer.__base__):
    def highwater(self, tp):
        assert tp.partition == 1, "Partition is not assigned"
        return 7


class ConsumerOverDriver(Consumer, Driver):
    """Our methods before the driver's."""


def test_the_end_of_a_partition_that_was_just_lost_is_unknown():
    consumer = object.__new__(ConsumerOverDriver)
    assert consumer.highwater(TP("x.events", 0)) is None
    assert consumer.highwater(TP("x.events", 1)) == 7


def test_credentials(tmp_path):
    assert app_of(tmp_path).conf.broker_credentials is None
    found = app_of(
        tmp_path,
        security_protocol=SecurityProtocol.SASL_SSL,
        sasl_mechanism="SCRAM-SHA-256",
        sasl_username="u",
        sasl_password="p",
    ).conf.broker_credentials
    assert isinstance(found, SASLCredentials)
    assert (found.username, found.password, found.mechanism.value) == ("u", "p", "SCRAM-SHA-256")
    assert found.ssl_context is not None
    tls = app_of(tmp_path, security_protocol=SecurityProtocol.SSL).conf.broker_credentials
    assert tls.context is not None
