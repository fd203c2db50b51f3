"""The gateway on a real loop: servers, a serving worker with a tiny encoder, HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fakes.language_models import save_tiny_model
from tests.harness.gateway import gateway
from tests.harness.kinds import SERVERS
from tests.harness.serving_loop import Loop, serving_loop


@pytest.fixture(scope="module")
def language_model(tmp_path_factory) -> Path:
    return save_tiny_model("bert", tmp_path_factory.mktemp("model"))


@pytest.fixture(params=SERVERS)
def loop(request, fresh_prefix, language_model, tmp_path) -> Iterator[Loop]:
    """On Apache Kafka and Redis, or on what pip installed."""
    bootstrap, redis_url = (request.getfixturevalue(name) for name in request.param)
    names = fresh_prefix.topic, fresh_prefix.redis
    with serving_loop(bootstrap, redis_url, names, language_model, tmp_path) as loop:
        yield loop


def problem(answer: httpx.Response) -> dict:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"]
    found = answer.json()
    assert found["status"] == answer.status_code
    return found


def test_a_list_is_asked_for_over_the_topics(loop: Loop) -> None:
    generation = loop.release()
    with gateway(loop.settings) as http:
        late = http.post("/v1/recommendations", json={"user_id": "ana", "wait_s": 0.2})
        assert late.status_code == 504
        assert problem(late)["request_id"].startswith("http-")
        loop.worker("serving-1")
        asked = {"user_id": "ana", "k": 5, "filters": {"categories": ["c1"]}, "wait_s": 30}
        found = http.post("/v1/recommendations", json=asked, headers={"X-Request-Id": "mine"})
        assert found.status_code == 200, found.text
        assert found.headers["x-request-id"] == "mine"
        answer = found.json()
        assert answer["generation"] == generation
        assert answer["user_id"] == "ana"
        assert len(answer["items"]) == 5
        assert all(item["title"].startswith("word") for item in answer["items"])
        refused = http.post("/v1/recommendations", json={"user_id": "ana", "k": 0})
        assert refused.status_code == 422
        assert problem(refused)["errors"][0]["field"] == "k"
        assert http.get("/").text.startswith("<!doctype html>")
        assert http.get("/openapi.json").json()["openapi"].startswith("3.1")
        assert problem(http.get("/nowhere"))["code"] == "not-found"
        measured = http.get("/metrics").text
        for status in (200, 422, 504):
            at = f'method="POST",route="/v1/recommendations",status="{status}"'
            assert f"streamrec_http_requests_total{{{at}}} 1.0" in measured
        assert 'route="other",status="404"' in measured
        assert 'streamrec_http_request_seconds_count{route="/v1/recommendations"} 3.0' in measured
