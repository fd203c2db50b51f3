"""The gateway on a real loop: servers, a serving worker with a tiny encoder, HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from streamrec.core.events import Item
from streamrec.infra.wire.follower import Follower
from streamrec.ports import FollowedRecord
from tests.fakes.language_models import save_tiny_model
from tests.harness.gateway import gateway, gone_wrong
from tests.harness.kinds import SERVERS
from tests.harness.serving_loop import Loop, serving_loop
from tests.harness.waiting import eventually


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


def test_a_list_is_asked_for_over_the_topics(loop: Loop) -> None:
    generation = loop.release()
    with gateway(loop.settings) as http:
        late = http.post("/v1/recommendations", json={"user_id": "ana", "wait_s": 0.2})
        assert late.status_code == 504
        assert gone_wrong(late)["request_id"].startswith("http-")
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
        assert gone_wrong(refused)["errors"][0]["field"] == "k"
        assert http.get("/").text.startswith("<!doctype html>")
        assert http.get("/openapi.json").json()["openapi"].startswith("3.1")
        viewer = re.findall(r'(?:src|href)="([^"]+)"', http.get("/docs").text)
        assert len(viewer) >= 2
        assert all(http.get(part).status_code == 200 for part in viewer), "of this host, and there"
        assert gone_wrong(http.get("/nowhere"))["code"] == "not-found"
        measured = http.get("/metrics").text
        for status in (200, 422, 504):
            at = f'method="POST",route="/v1/recommendations",status="{status}"'
            assert f"streamrec_http_requests_total{{{at}}} 1.0" in measured
        assert 'route="other",status="404"' in measured
        assert 'streamrec_http_request_seconds_count{route="/v1/recommendations"} 3.0' in measured


class Topics:
    """What comes on some topics from now on."""

    def __init__(self, follower: Follower) -> None:
        self._follower, self._found = follower, []

    def until(self, count: int) -> list[FollowedRecord]:
        found = self._found
        eventually(lambda: found.extend(self._follower.poll(0.1)) or len(found) >= count)
        self._found = []
        return found


@contextmanager
def listening(loop: Loop, *topics: str) -> Iterator[Topics]:
    with Follower(loop.settings.kafka, loop.codec, topics, "test") as follower:
        yield Topics(follower)


NOW = "2026-03-01T12:00:00Z"


def click(user: str, item: str, **more) -> dict:
    return {"user_id": user, "item_id": item, "kind": "click", "occurred_at": NOW, **more}


def lines(*found: dict) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in found)


NDJSON = {"content-type": "application/x-ndjson"}


def test_what_is_sent_has_a_verdict_a_line(loop: Loop) -> None:
    with gateway(loop.settings) as http, listening(loop, "events", "items") as topics:
        body = lines(click("ann", "42", event_id="1"), click("", "42"), click("bob", "7")) + b"{\n"
        sent = http.post("/v1/events", content=body, headers=NDJSON)
        assert sent.status_code == 200, sent.text
        first, nameless, named, broken = sent.json()["verdicts"]
        assert (sent.json()["accepted"], sent.json()["refused"]) == (2, 2)
        assert first | {"offset": 0} == first
        assert first["id"] == "1"
        assert nameless["field"] == "user_id"
        assert named["id"].startswith("line-")
        assert broken["code"] == "malformed"
        found = topics.until(2)
        assert {(e.topic, e.partition, e.offset, e.value.event_id) for e in found} == {
            (v["topic"], v["partition"], v["offset"], v["id"]) for v in (first, named)
        }
        late = gone_wrong(
            http.post("/v1/events", json=click("ann", "42", occurred_at="2199-01-01"))
        )
        assert late["code"] == "impossible-time"
        assert late["verdicts"][0]["line"] == 1
        items = [{"item_id": "new", "title": "The Third Man"}, {"title": "nobody"}]
        assert http.post("/v1/items", json=items).json()["accepted"] == 1
        assert topics.until(1)[0].value.title == "The Third Man"
        assert gone_wrong(http.post("/v1/items", content=b"", headers=NDJSON))["status"] == 422
        assert gone_wrong(http.post("/v1/items", content=b"a,b"))["status"] == 422
        text = {"content-type": "text/csv"}
        assert gone_wrong(http.post("/v1/items", content=b"a", headers=text))["status"] == 415
        huge = b"[" + b" " * loop.settings.gateway.max_body_bytes + b"]"
        assert gone_wrong(http.post("/v1/events", content=huge))["code"] == "too-large"
        chunks = (huge[at : at + 65_536] for at in range(0, len(huge), 65_536))
        assert gone_wrong(http.post("/v1/events", content=chunks))["code"] == "too-large"


def test_a_user_is_known_listened_to_and_never_without_a_list(loop: Loop) -> None:
    """What the mirror and the topics say, and what is still said when servers are gone."""
    loop.release()
    with gateway(loop.settings) as http, listening(loop, "recommendations") as topics:
        assert gone_wrong(http.get("/v1/users/ana/recommendations"))["code"] == "no-list"
        assert http.get("/v1/users/ana").json()["history"] == []
        loop.worker("serving-1")
        with http.stream("GET", "/v1/users/ana/stream") as stream:
            told = server_sent(stream)
            loop.click("ana", "item3")
            (live,) = topics.until(1)
            event, data = next(told)
        assert event == "recommendation"
        assert data["recommendation_id"] == live.value.recommendation_id
        assert http.get("/v1/users/ana/recommendations").json() == data
        (accepted,) = http.get("/v1/users/ana").json()["history"]
        assert (accepted["item_id"], accepted["title"]) == ("item3", "word3 word4")
        popular = http.get("/v1/popular", params={"k": 3, "category": "c1"}).json()
        assert len(popular["items"]) == 3
        assert all("c1" in item["categories"] for item in popular["items"])
        similar = http.get("/v1/similar/item3", params={"k": 2}).json()
        assert similar["source"] == "categories-and-words"
        assert {item["item_id"] for item in similar["items"]} <= {"item2", "item4"}
        loop.add_items(Item("newest", "word3 again"))
        eventually(lambda: latest(http) == "newest")
        asked = http.post("/v1/recommendations", json={"user_id": "ana", "wait_s": 30}).json()
        why = http.get(f"/v1/recommendations/{asked['recommendation_id']}")
        assert why.status_code == 200, why.text
        assert [i["item_id"] for i in why.json()["items"]] == [i["item_id"] for i in asked["items"]]
        assert gone_wrong(http.get("/v1/recommendations/request:none"))["status"] == 404


def latest(http: httpx.Client) -> str:
    return http.get("/v1/latest").json()["items"][0]["item_id"]


def server_sent(stream: httpx.Response) -> Iterator[tuple[str, dict]]:
    assert stream.headers["content-type"].startswith("text/event-stream")
    event = ""
    for line in stream.iter_lines():
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        if line.startswith("data: "):
            yield event, json.loads(line.removeprefix("data: "))
