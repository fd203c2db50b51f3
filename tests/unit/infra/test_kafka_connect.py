"""A client that cannot connect leaves no thread and no descriptor behind."""

from __future__ import annotations

import gc
import logging
import threading
from typing import Any

import psutil
import pytest
from kafka import KafkaAdminClient, KafkaConsumer
from kafka.errors import KafkaError

from streamrec.infra.processes.server_process import free_port
from streamrec.infra.wire.kafka_connect import connect


def fail_to_connect(kind: Any) -> None:
    with pytest.raises(KafkaError):
        connect(kind, bootstrap_servers=f"127.0.0.1:{free_port()}", bootstrap_timeout_ms=100)


@pytest.mark.parametrize("kind", [KafkaAdminClient, KafkaConsumer])
def test_failed_connections_leave_nothing(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "kafka")  # captured records keep connections alive
    threads = set(threading.enumerate())
    fail_to_connect(kind)
    gc.collect()
    descriptors = psutil.Process().num_fds()
    for _ in range(5):
        fail_to_connect(kind)
    gc.collect()
    assert {thread for thread in threading.enumerate() if thread.is_alive()} <= threads
    assert psutil.Process().num_fds() < descriptors + 5, "descriptors grow with every failure"
