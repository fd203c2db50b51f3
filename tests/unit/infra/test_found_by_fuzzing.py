"""What ``python -m tests.fuzz`` found, each as a test of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO

import fastavro
import numpy as np
import pytest

import schemas
from streamrec.core.events import Recommendation, Trigger
from streamrec.core.ledger.ledger import Ledger
from streamrec.core.release.registry import Action, ControlRecord, RegistryState
from streamrec.errors import GenerationRefused, InvalidField, UnknownSchema
from streamrec.infra.stores.checkpoints import DirectoryCheckpoints
from streamrec.infra.wire.foreign_schema import parsed
from streamrec.infra.wire.schema_registry import SchemaRegistry
from streamrec.loop.training.learn import admit
from streamrec.loop.training.training_progress import TrainingProgress
from streamrec.ports import DeliveredBatch
from streamrec.tasks.ranking.examples import check
from streamrec.tasks.ranking.features import FEATURES
from tests.harness.codec import wire_codec
from tests.harness.training import batches
from tests.harness.wire import schema_registry, schemas_of, written

CODEC = wire_codec()
AT_MS = 1_767_323_045_000


def rewritten(topic: str, data: bytes, **changes: object) -> bytes:
    """An encoded value with other fields than our types allow, as a newer version may write."""
    header, body = data[:10], data[10:]
    schema = schemas_of(topic)[header]
    return header + written(
        schema, fastavro.schemaless_reader(BytesIO(body), schema, None) | changes
    )


def test_an_action_of_a_newer_version_is_refused_not_a_crash_of_every_worker():
    """A ValueError ended whoever followed the control log."""
    record = ControlRecord(Action.STAGE, "ann", "why", AT_MS, RegistryState(1, "g1"))
    data = rewritten("adapters", CODEC.encode("adapters", record), action="teleport")
    with pytest.raises(InvalidField, match=r"action is 'teleport'; expected one of .*stage"):
        CODEC.decode("adapters", data)


def test_a_trigger_of_a_newer_version_is_refused():
    answer = Recommendation(
        "request:r1", "ann", (), "g1", {}, Trigger.REQUEST, "r1", AT_MS, 1, AT_MS, "w"
    )
    data = rewritten("recommendations", CODEC.encode("recommendations", answer), trigger="whim")
    with pytest.raises(InvalidField, match="trigger is 'whim'"):
        CODEC.decode("recommendations", data)


LOOP = {"type": "record", "name": "x", "fields": [{"name": "a", "type": "x"}]}
CHAIN = {
    "type": "record",
    "name": "link",
    "fields": [{"name": "next", "type": ["null", "link"]}],
}
AROUND = {
    "type": "record",
    "name": "a",
    "fields": [
        {
            "name": "b",
            "type": {
                "type": "record",
                "name": "b",
                "fields": [{"name": "a", "type": {"type": "map", "values": "a"}}],
            },
        }
    ],
}


@pytest.mark.parametrize("schema", [LOOP, CHAIN, AROUND], ids=["loop", "chain", "around"])
def test_a_strangers_schema_that_contains_itself_is_refused(schema):
    """fastavro's C reader recursed until the process ended by a segmentation fault."""
    with pytest.raises(UnknownSchema, match="contains itself"):
        parsed(schema, 7)


@pytest.mark.parametrize(
    "items",
    [
        "null",
        {"type": "record", "name": "nothing", "fields": []},
        {"type": "record", "name": "n", "fields": [{"name": "a", "type": "null"}]},
        {"type": "fixed", "name": "f", "size": 0},
    ],
    ids=str,
)
def test_an_array_of_elements_without_bytes_is_refused(items):
    """Twelve bytes could ask for 2**62 elements."""
    field = {"name": "a", "type": {"type": "array", "items": items}}
    with pytest.raises(UnknownSchema, match="array of nothing"):
        parsed({"type": "record", "name": "x", "fields": [field]}, 7)


@pytest.mark.parametrize("schema", [None, {}, 7, "nothing", {"type": "record"}], ids=str)
def test_what_is_no_schema_is_refused(schema):
    with pytest.raises(UnknownSchema, match="schema id 7"):
        parsed(schema, 7)


def test_our_own_schemas_and_ordinary_ones_pass():
    for name in ("event", "item", "request", "training_batch", "adapter"):
        parsed(schemas.load(name), 1)
    twice = {
        "type": "record",
        "name": "pair",
        "fields": [
            {"name": "a", "type": {"type": "fixed", "name": "id", "size": 4}},
            {"name": "b", "type": {"type": "array", "items": "id"}},
            {"name": "c", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
        ],
    }
    parsed(twice, 1)


@pytest.mark.parametrize(
    "body", ["[]", "null", "7", "{}", '{"schema": 7}', '{"schema": "{"}'], ids=str
)
def test_a_registry_that_answers_something_else_refuses_the_message(body):
    """An AttributeError or a KeyError ended the feature worker."""
    with (
        schema_registry({5: body.encode()}) as (url, _),
        pytest.raises(UnknownSchema, match="schema id 5"),
    ):
        SchemaRegistry(url).schema(5)


def saved(tmp_path) -> DirectoryCheckpoints:
    checkpoints = DirectoryCheckpoints(tmp_path)
    for batch in (3, 4):
        record = TrainingProgress(next_batch=batch).to_record()
        checkpoints.save(record, lambda directory: (directory / "a").write_bytes(b"x") and None)
    return checkpoints


def test_a_record_that_was_changed_on_disk_is_not_resumed_from(tmp_path):
    """Its digest covered the learner's files, not the record: an offset could be off by a bit."""
    checkpoints = saved(tmp_path)
    path = sorted(tmp_path.glob("c*"))[-1] / "checkpoint.json"
    path.write_bytes(path.read_bytes().replace(b'"next_batch": 4', b'"next_batch": 5'))
    found = checkpoints.newest()
    assert found is not None
    assert found.record["next_batch"] == 3


@pytest.mark.parametrize(
    "text", ["[]", "7", "null", "{}", '{"record": 7, "files": {}}', '{"record": {}, "files": []}']
)
def test_a_checkpoint_that_is_no_checkpoint_is_passed_over(tmp_path, text):
    checkpoints = saved(tmp_path)
    (sorted(tmp_path.glob("c*"))[-1] / "checkpoint.json").write_text(text)
    found = checkpoints.newest()
    assert found is not None
    assert found.record["next_batch"] == 3


def test_a_checkpoint_without_a_digest_of_its_record_is_still_read(tmp_path):
    checkpoints = saved(tmp_path)
    path = sorted(tmp_path.glob("c*"))[-1] / "checkpoint.json"
    contents = json.loads(path.read_bytes())
    del contents["digest"]
    path.write_text(json.dumps(contents))
    found = checkpoints.newest()
    assert found is not None
    assert found.record["next_batch"] == 4


@pytest.mark.parametrize(
    "change", [{"ledger": None}, {"quarantine": [1]}, {"arrivals": {"a": 1}}, {"unheard": 1}]
)
def test_a_record_of_other_fields_is_refused_with_what_to_do(change):
    record = TrainingProgress().to_record() | change
    with pytest.raises(GenerationRefused, match="start in another STREAMREC_STATE_DIR"):
        TrainingProgress.from_record(record)
    del record["format"]
    with pytest.raises(GenerationRefused, match="format"):
        TrainingProgress.from_record(record)


@pytest.mark.parametrize(
    ("stats", "said"),
    [
        (np.zeros((4, 3), np.float32), "has 3 features; expected"),
        (np.full((4, len(FEATURES)), np.nan, np.float32), "not finite"),
        (np.full((4, len(FEATURES)), np.inf, np.float32), "not finite"),
    ],
    ids=["width", "nan", "inf"],
)
def test_a_mini_batch_that_no_tensor_can_be_made_of_is_a_dead_letter_and_a_hole(stats, said):
    """A ValueError ended the trainer, which then read the same batch again, and again."""
    [batch] = batches(1, size=2)
    bad = replace(batch, examples=[replace(batch.examples[0], stats_CF=stats), batch.examples[1]])
    admitted = admit(DeliveredBatch(0, b"0", b"raw", bad), Ledger(), check, ())
    assert isinstance(admitted.refused, InvalidField)
    assert said in str(admitted.refused)
    assert admitted.intake.fresh == ()
    whole = admit(DeliveredBatch(0, b"0", b"raw", batch), Ledger(), check, ())
    assert whole.refused is None
    assert len(whole.intake.fresh) == 2
