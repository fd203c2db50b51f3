"""What an example is on the wire: half the bytes, the user once, and older ones still read."""

from __future__ import annotations

import numpy as np
import pytest

import schemas
from streamrec.core import topics
from streamrec.core.examples import ForgetMark, TrainingBatch
from streamrec.errors import InvalidField
from streamrec.infra.wire.codec import SINGLE_OBJECT, fingerprint
from streamrec.infra.wire.output import avro_bytes
from streamrec.ports import EXAMPLE
from streamrec.tasks.ranking.examples import FORMAT, USER, RankingExample, from_fields, to_fields
from tests.harness.codec import wire_codec
from tests.harness.training_worker import example

CODEC = wire_codec()
MARK = ForgetMark(0, 7, 0, "u", 1_767_000_000_000, asked_at_ms=1_767_000_000_001)


def of_one_user(offset: int = 3) -> RankingExample:
    one = example(0, offset)
    one.stats_CF[:, -USER:] = one.stats_CF[0, -USER:]
    return one


def there_and_back(one: RankingExample) -> tuple[bytes, RankingExample]:
    data = CODEC.encode(EXAMPLE, one)
    return data, CODEC.decode(EXAMPLE, data)


def test_features_are_those_that_replay_memory_keeps() -> None:
    one = of_one_user()
    _, found = there_and_back(one)
    np.testing.assert_array_equal(
        found.stats_CF.astype(np.float16), one.stats_CF.astype(np.float16)
    )
    np.testing.assert_array_equal(found.stats_CF[:, -USER:], one.stats_CF[:, -USER:])
    assert found.stats_CF.dtype == np.float32
    assert found.candidates == one.candidates


def test_a_user_logged_at_several_moments_loses_nothing() -> None:
    short, _ = there_and_back(of_one_user())
    data, found = there_and_back(example(0, 3))
    np.testing.assert_array_equal(found.stats_CF, example(0, 3).stats_CF)
    assert len(short) < len(data) - 0.4 * found.stats_CF.nbytes


def test_what_no_half_can_hold_stays_finite() -> None:
    one = of_one_user()
    one.stats_CF[0, 0] = 1e6
    assert there_and_back(one)[1].stats_CF[0, 0] == np.finfo(np.float16).max


@pytest.mark.parametrize("version", [1, 2, 3])
def test_batches_of_earlier_versions_are_read(version: int) -> None:
    schema = schemas.history("training_batch")[version - 1]
    one = of_one_user()
    fields = to_fields(one) | {"stats_CF": one.stats_CF.tobytes()}
    fields.pop("user_U")
    batch = {"partition": 0, "from_offset": 0, "to_offset": 9, "feature_set": "f"}
    data = avro_bytes(SINGLE_OBJECT + fingerprint(schema), schema, batch | {"examples": [fields]})
    (found,) = CODEC.decode(topics.TRAINING_BATCHES, data).examples
    np.testing.assert_array_equal(found.stats_CF, one.stats_CF)


@pytest.mark.parametrize("wrong", [{"stats_CF": b"123"}, {"user_U": b"12345"}])
def test_bytes_that_do_not_add_up_are_refused(wrong: dict[str, bytes]) -> None:
    with pytest.raises(InvalidField, match="stats_CF is"):
        from_fields(to_fields(of_one_user()) | wrong)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 200])
def test_a_batch_of_encoded_examples_is_the_batch_of_the_examples(count: int) -> None:
    examples = [MARK if n % 50 == 49 else of_one_user(n) for n in range(count)]
    batch = TrainingBatch(0, 5, 5 + count, FORMAT.feature_set, tuple(examples))
    encoded = [CODEC.encode(EXAMPLE, one) for one in examples]
    data = CODEC.encode_batch(topics.TRAINING_BATCHES, batch, encoded)
    assert data == CODEC.encode(topics.TRAINING_BATCHES, batch)
