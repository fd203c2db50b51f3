"""Whatever goes in comes out, and no bytes whatever can do more than be refused."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.core.events import (
    WITH_ITEM,
    WITH_REPLY,
    DeadLetter,
    Filters,
    Interaction,
    Item,
    Kind,
    Recommendation,
    RecommendedItem,
    Request,
    Trigger,
    UserUpdate,
)
from streamrec.core.examples import TrainingBatch
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release.canary import Canary
from streamrec.core.release.registry import Action, ControlRecord, Pin, RegistryState, Relearn
from streamrec.errors import Refused
from streamrec.infra.wire.values import SHAPES
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample
from tests.harness.codec import wire_codec
from tests.harness.wire import header_of

CODEC = wire_codec()

texts = st.text(st.characters(codec="utf-8"), max_size=20)
ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64)
times = st.integers(631_152_000_000, 253_402_300_799_999)
ints = st.integers(0, 2**31 - 1)
longs = st.integers(0, 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
probabilities = st.floats(0, 1)
kinds = st.sampled_from(sorted(WITH_ITEM | {Kind.FORGET}))
text_tuples = st.lists(texts, max_size=4).map(tuple)
text_maps = st.dictionaries(texts, texts, max_size=3)
maybe = lambda strategy: st.none() | strategy  # noqa: E731

events = st.builds(
    Interaction, ids, ids, ids, kinds, times, maybe(floats), maybe(ids), maybe(ints), maybe(ids)
)
words = texts.filter(str.strip)
searches = st.builds(Interaction, ids, ids, st.just(""), st.just(Kind.SEARCH), times, query=words)
replied = st.builds(
    Interaction,
    ids,
    ids,
    st.just(""),
    st.sampled_from(sorted(WITH_REPLY)),
    times,
    query=maybe(texts),
    reply_id=ids,
    conversation_id=maybe(ids),
    reply_log=maybe(texts),
)
items = st.builds(Item, ids, texts, texts, text_tuples, text_maps, st.booleans())
filters = st.builds(Filters, text_tuples, text_tuples, text_maps)
requests = st.builds(
    Request, ids, ids, times, st.integers(1, 1000), maybe(texts), filters, text_tuples
)
acts = st.sampled_from(sorted(WITH_ITEM))
updates = st.builds(UserUpdate, ids, ids, acts, ints, longs, times, times, times)
recommendations = st.builds(
    Recommendation,
    ids,
    ids,
    st.lists(st.builds(RecommendedItem, ids, probabilities, probabilities, texts)).map(tuple),
    ids,
    st.dictionaries(texts, longs, max_size=3),
    st.sampled_from(Trigger),
    ids,
    times,
    longs,
    times,
    ids,
    maybe(texts),
)
dead_letters = st.builds(
    DeadLetter, ids, ints, longs, maybe(st.binary()), maybe(st.binary()), ids, texts, times
)
pins = st.builds(Pin, texts, texts, times)
canaries = st.builds(Canary, ids, st.floats(0, 1), texts, times)
quarantines = st.lists(st.builds(Quarantine, ints, longs, longs, maybe(ids)), max_size=3).map(tuple)
relearns = st.builds(Relearn, ints, ids)
states = st.builds(
    RegistryState,
    longs,
    maybe(ids),
    text_tuples,
    maybe(ids),
    maybe(pins),
    maybe(canaries),
    quarantines,
    maybe(relearns),
)
adapters = st.builds(
    ControlRecord, st.sampled_from(Action), texts, texts, times, states, maybe(ids), texts
)


@st.composite
def examples(draw):
    count, width = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return RankingExample(
        draw(ints),
        draw(longs),
        draw(ints),
        draw(ids),
        draw(times),
        draw(st.sampled_from(ExampleKind)),
        draw(times),
        draw(text_tuples),
        tuple(f"i{n}" for n in range(count)),
        rng.integers(0, 2, count).astype(np.float32),
        rng.normal(size=(count, width)).astype(np.float16).astype(np.float32),
        rng.normal(size=count).astype(np.float32),
    )


def same_example(a: RankingExample, b: RankingExample) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in RankingExample.__dataclass_fields__
    )


@given(
    st.one_of(
        st.one_of(events, searches, replied).map(lambda v: ("events", v)),
        items.map(lambda v: ("items", v)),
        requests.map(lambda v: ("requests", v)),
        updates.map(lambda v: ("user-updates", v)),
        recommendations.map(lambda v: ("recommendations", v)),
        dead_letters.map(lambda v: ("dead-letter", v)),
        adapters.map(lambda v: ("adapters", v)),
    )
)
def test_round_trip(case):
    topic, value = case
    assert CODEC.decode(topic, CODEC.encode(topic, value)) == value


@given(examples())
def test_an_example_comes_back_bit_for_bit(example):
    """Of features that two bytes can say."""
    assert same_example(CODEC.decode("example", CODEC.encode("example", example)), example)


@given(st.lists(examples(), max_size=3))
def test_a_batch_comes_back_bit_for_bit(rows):
    batch = TrainingBatch(3, 10, 20, "digest", tuple(rows))
    found = CODEC.decode("training-batches", CODEC.encode("training-batches", batch))
    assert (found.partition, found.from_offset, found.to_offset) == (3, 10, 20)
    assert found.feature_set == "digest"
    assert len(found.examples) == len(rows)
    assert all(map(same_example, found.examples, rows))


@pytest.mark.parametrize("topic", SHAPES)
@given(body=st.binary(max_size=200), framing=st.sampled_from(["raw", "avro", "json"]))
def test_any_bytes_are_decoded_or_refused(topic, body, framing):
    data = {"raw": body, "avro": header_of(topic) + body, "json": b"{" + body}[framing]
    with suppress(Refused):  # anything else fails
        CODEC.decode(topic, data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
FIELDS = {
    "events": "event_id user_id item_id kind occurred_at occurred_at_ms value position",
    "items": "item_id title text categories attributes available",
    "requests": "request_id user_id requested_at k query filters candidates reply",
}


@given(data=st.data(), topic=st.sampled_from(sorted(FIELDS)))
def test_any_json_object_is_decoded_or_refused(topic, data):
    names = st.sampled_from(FIELDS[topic].split())
    fields = data.draw(st.dictionaries(names, json_values | ids | times))
    try:
        value = CODEC.decode(topic, json.dumps(fields).encode())
    except Refused:
        return
    assert CODEC.decode(topic, CODEC.encode(topic, value)) == value  # accepted: can be written
