"""What is kept of answers: the fake and Redis alike."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from streamrec.errors import Malformed
from streamrec.infra.stores.explanations import RedisExplanations
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.settings import RedisSettings
from streamrec.tasks.ranking.lists.explanation import Explanation, packed, same, unpacked
from tests.fakes.explanations import FakeExplanations
from tests.harness.kinds import EMBEDDED_OR_CLUSTER
from tests.harness.waiting import eventually

ONE = Explanation(
    recommendation_id="request:r1",
    user_id="ann",
    generation="g000001-1a2b3c4d",
    worker_id="serving-1",
    items=("i1", "i2"),
    scores_K=np.array([1.5, -0.25], np.float32),
    probabilities_K=np.array([0.25, 0.125], np.float32),
    raw_KD=np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    closeness_KH=np.array([[0.5, 0.25], [0.125, -1.0]], np.float32),
    history=("i9", "i8"),
    names=("a", "b", "c"),
    query=None,
    state_position=17,
    statistics={"events-0": 12, "items-0": 3},
    watermark_ms=1_000,
    user_seen_ms=900,
    served_at_ms=1_100,
)


@pytest.fixture(params=["fake", *EMBEDDED_OR_CLUSTER])
def explanations(request, fresh_prefix):
    if request.param == "fake":
        yield FakeExplanations()
        return
    url = request.getfixturevalue(request.param)
    with connect_redis(RedisSettings(url=url)) as client:
        yield RedisExplanations(client, fresh_prefix.redis, 60, packed, unpacked)


def test_what_was_kept_comes_back_whole(explanations):
    new = replace(ONE, recommendation_id="user-update:0-7", history=(), query="a quiet film")
    new = replace(new, closeness_KH=np.zeros((2, 0), np.float32))
    explanations.keep([ONE, new])
    assert same(explanations.of("request:r1"), ONE)
    assert same(explanations.of("user-update:0-7"), new)


def test_what_was_not_kept_is_not_there(explanations):
    explanations.keep([])
    assert explanations.of("request:other") is None


@pytest.mark.embedded
def test_it_is_gone_after_a_while(embedded_redis, fresh_prefix):
    with connect_redis(RedisSettings(url=embedded_redis)) as client:
        explanations = RedisExplanations(client, fresh_prefix.redis, 0.2, packed, unpacked)
        explanations.keep([ONE])
        time.sleep(0.2)
        eventually(lambda: explanations.of(ONE.recommendation_id) is None)


def test_bytes_of_another_version_are_refused_not_misread():
    data = packed(ONE)
    assert same(unpacked(data), ONE)
    for broken in (b"", b"\xff\xff\xff\xff", data[:-1], data + b"\0", data[:40], b"\0\0\0\0{}"):
        with pytest.raises(Malformed):
            unpacked(broken)
