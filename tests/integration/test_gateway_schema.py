"""Everything that the gateway's OpenAPI allows, and more, asked of a real loop: no 500, no answer
outside its schema."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streamrec.apps import access
from streamrec.apps.access import NewKey
from tests.fakes.language_models import save_tiny_model
from tests.harness.gateway import gateway
from tests.harness.serving_loop import Loop, serving_loop
from tests.harness.waiting import PATIENCE_S

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

LEFT_OUT = "/stream$|/why/"
"""A stream has no end; test_gateway.py listens to it. Each why starts a process, some seconds of a
core: test_gateway_keys.py asks for one."""

ALLOWANCES = """
[[operations]]  # nobody answers within a billionth of a second
include-path = "/v1/recommendations"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "504"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "504"]

[[operations]]  # a time may be well-formed and not possible; other forms of a field are taken
include-path = ["/v1/events", "/v1/items"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "422"]
checks.negative_data_rejection.expected-statuses = ["2xx", "400", "404", "415", "422"]

[[operations]]  # a message of this name may not be there, or not be one to send again
include-path = "/v1/admin/dead-letters/resend"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422"]
"""


@pytest.fixture
def loop(embedded_kafka: str, embedded_redis: str, fresh_prefix, tmp_path: Path) -> Iterator[Loop]:
    names = fresh_prefix.topic, fresh_prefix.redis
    model = save_tiny_model("bert", tmp_path / "model")
    with serving_loop(embedded_kafka, embedded_redis, names, model, tmp_path) as loop:
        yield loop


def test_a_tester_of_openapi_finds_nothing(loop: Loop, tmp_path: Path) -> None:
    loop.release()
    loop.worker("serving-1")
    (tmp_path / "schemathesis.toml").write_text(ALLOWANCES)
    _, secret = access.make(loop.settings, access.path(loop.settings), NewKey("tester", ("admin",)))
    limits = replace(loop.settings.gateway, requests_per_s=0)
    with gateway(replace(loop.settings, gateway=limits)) as http:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{http.base_url}/openapi.json"),
                *("--header", f"Authorization: Bearer {secret}", "--checks", "all"),
                *("--max-examples", "6", "--seed", "1", "--generation-database", "none"),
                *("--exclude-path-regex", LEFT_OUT, "--request-timeout", "60", "--no-color"),
                *("--max-response-time", "60"),  # a busy machine is no fault of the schema
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S * 2,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
