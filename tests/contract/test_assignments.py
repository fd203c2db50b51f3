"""Wordings that users have been given, in a real Redis: the first assignment stands."""

from __future__ import annotations

import pytest

from streamrec.core.variants.traffic import Assigned
from streamrec.infra.stores.assignments import RedisAssignments
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.settings import RedisSettings
from tests.harness.waiting import eventually

pytestmark = pytest.mark.embedded


def test_the_first_assignment_stands_until_its_time_is_over(embedded_redis, fresh_prefix):
    with connect_redis(RedisSettings(url=embedded_redis)) as client:
        kept = RedisAssignments(client, fresh_prefix.redis, 60)
        first = {("ann", "i1"): Assigned("a b", 0.25), ("ben", "i1"): Assigned("ü", 0.75)}
        assert kept.hold(first) == first
        later = {pair: Assigned("other", 1.0) for pair in [*first, ("ann", "i2")]}
        assert kept.hold(later) == first | {("ann", "i2"): Assigned("other", 1.0)}
        assert kept.hold({}) == {}
        names = b" ".join(client.scan_iter(match=f"{fresh_prefix.redis}:wording:*"))
        assert b"ann" not in names

        short = RedisAssignments(client, fresh_prefix.redis + "s", 0.2)
        short.hold({("ann", "i1"): Assigned("a", 1.0)})
        wish = {("ann", "i1"): Assigned("b", 1.0)}
        eventually(lambda: short.hold(wish) == wish)
        assert RedisAssignments(client, fresh_prefix.redis, 0).hold(later) == later
