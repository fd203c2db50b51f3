"""Recommendations as JSON, in a registry's frame, or in single-object encoding: all are read."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from threading import Thread

import fastavro
import pytest

import schemas
from streamrec.apps import clients
from streamrec.core.events import Recommendation, RecommendedItem, Trigger
from streamrec.errors import Malformed, Refused, Unavailable, UnknownSchema, UserError
from streamrec.infra.wire.schema_registry import SchemaRegistry
from streamrec.settings import KafkaSettings, OutputFormat, ServingSettings, Settings

ANSWER = Recommendation(
    "request:r1", "ann", (RecommendedItem("i1", 0.5, 1.0, "like i2"),), "g1", {"0": 7},
    Trigger.REQUEST, "r1", 1_000, 3, 2_000, "serving-1", "told",
)  # fmt: skip
SCHEMA = schemas.load("recommendation")


class Registry:
    """Takes schemas and gives them back, as a registry does; or answers ``status``."""

    def __init__(self) -> None:
        self.subjects: dict[str, str] = {}
        self.posts = 0
        self.status = 200

    def __enter__(self) -> Registry:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                registry.posts += 1
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                subject = self.path.split("/")[2]
                registry.subjects[subject] = body["schema"]
                self.answer({"id": 41})

            def do_GET(self) -> None:
                assert self.path == "/schemas/ids/41"
                self.answer({"schema": next(iter(registry.subjects.values()))})

            def answer(self, body: dict) -> None:
                self.send_response(registry.status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def codec(output: str, url: str = ""):
    kafka = KafkaSettings(topic_prefix="shop.", schema_registry_url=url)
    return clients.codec(
        Settings(kafka=kafka, serving=ServingSettings(output=OutputFormat(output)))
    )


def test_json_has_the_names_of_the_schema():
    data = codec("json").encode("recommendations", ANSWER)
    found = json.loads(data)
    assert set(found) == {field["name"] for field in SCHEMA["fields"]}
    assert (found["trigger"], found["items"][0]["item_id"]) == ("request", "i1")


def test_a_registrys_frame_and_its_subject():
    with Registry() as registry:
        framed = codec("confluent", registry.url)
        data = framed.encode("recommendations", ANSWER)
        assert framed.encode("recommendations", ANSWER) == data
        assert (data[:5], registry.posts) == (b"\x00\x00\x00\x00\x29", 1)
        assert json.loads(registry.subjects["shop.recommendations-value"]) == SCHEMA
        read = fastavro.schemaless_reader(BytesIO(data[5:]), SCHEMA, None)
        assert (read["user_id"], read["trigger"]) == ("ann", "request")
        assert codec("avro", registry.url).decode("recommendations", data) == ANSWER
    with pytest.raises(UnknownSchema, match="SCHEMA_REGISTRY_URL"):
        codec("avro").decode("recommendations", data)


@pytest.mark.parametrize("written", ["avro", "json"])
@pytest.mark.parametrize("reading", ["avro", "json"])
def test_whoever_reads_reads_all_of_them(written, reading):
    data = codec(written).encode("recommendations", ANSWER)
    assert codec(reading).decode("recommendations", data) == ANSWER


def test_only_recommendations_are_written_otherwise():
    from streamrec.core.events import Item

    item = Item("i", "t")
    assert codec("json").encode("items", item) == codec("avro").encode("items", item)


@pytest.mark.parametrize(
    "data", [b"{}", b"[]", b'{"items": 7}', b'{"user_id": "u", "items": [{}]}', b"\x00\x00", b""]
)
def test_what_is_no_recommendation_is_refused(data):
    with pytest.raises(Refused):
        codec("json").decode("recommendations", data)


def test_json_of_other_types_is_refused():
    fields = json.loads(codec("json").encode("recommendations", ANSWER)) | {"state_position": "x"}
    with pytest.raises(Malformed, match="not what its schema says"):
        codec("json").decode("recommendations", json.dumps(fields).encode())


def test_a_registry_that_does_not_take_it_is_told_and_one_that_fails_is_waited_for():
    with Registry() as registry:
        for status, error in ((409, UserError), (403, UserError), (500, Unavailable)):
            registry.status = status
            with pytest.raises(error, match="subject" if status == 1 else str(status)):
                SchemaRegistry(registry.url).register("x-value", SCHEMA)
    with pytest.raises(Unavailable, match="x-value not registered"):
        SchemaRegistry("http://127.0.0.1:9").register("x-value", SCHEMA)


def test_a_frame_without_a_registry_is_a_mistake_of_the_settings():
    with pytest.raises(UserError, match="STREAMREC_KAFKA_SCHEMA_REGISTRY_URL"):
        codec("confluent")
