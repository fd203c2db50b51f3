"""Schemas evolve backward-compatibly: what was ever written can be read for ever."""

import copy
import json

import avro.schema
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

import schemas
from streamrec.infra.wire.codec import fingerprint


def can_read(reader, writer) -> bool:
    result = ReaderWriterCompatibilityChecker().get_compatibility(
        avro.schema.parse(json.dumps(reader)), avro.schema.parse(json.dumps(writer))
    )
    return result.compatibility is SchemaCompatibilityType.compatible


@pytest.mark.parametrize("name", schemas.NAMES)
def test_today_reads_everything_ever_written(name):
    for version, writer in enumerate(schemas.history(name), 1):
        assert can_read(schemas.load(name), writer), f"{name}: cannot read version {version}"


@pytest.mark.parametrize("name", schemas.NAMES)
def test_today_is_kept_in_the_history(name):
    kept = [fingerprint(version) for version in schemas.history(name)]
    assert fingerprint(schemas.load(name)) in kept, (
        f"schemas/{name}.avsc changed: keep it as schemas/history/{name}/{len(kept) + 1}.avsc too"
    )


def test_a_new_field_needs_a_default():
    changed = copy.deepcopy(schemas.load("event"))
    changed["fields"].append({"name": "device", "type": "string"})
    assert not can_read(changed, schemas.load("event"))
    changed["fields"][-1]["default"] = ""
    assert can_read(changed, schemas.load("event"))


def test_fingerprint_is_the_one_of_the_specification():
    assert fingerprint("null").hex() == "8a8f25cce724dd63"  # 0x63dd24e7cc258f8a, little-endian
