"""The ledger of resent letters: the fake and Redis alike."""

from __future__ import annotations

import pytest

from streamrec.core.dead_letters import DeadLetterPosition, Origin, Resent
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.resend_ledger import RedisResendLedger
from streamrec.settings import RedisSettings
from tests.fakes.dead_letters import FakeResendLedger
from tests.harness.kinds import EMBEDDED_OR_CLUSTER

FIRST = Resent(DeadLetterPosition(0, 17), "ann@here", 1_000)
DONE = Resent(DeadLetterPosition(0, 17), "ann@here", 1_000, Origin("events", 2, 5))


@pytest.fixture(params=["fake", *EMBEDDED_OR_CLUSTER])
def ledger(request, fresh_prefix):
    if request.param == "fake":
        yield FakeResendLedger()
        return
    url = request.getfixturevalue(request.param)
    with connect_redis(RedisSettings(url=url)) as client:
        yield RedisResendLedger(client, fresh_prefix.redis)


def test_exactly_one_claim_is_first(ledger):
    assert ledger.claim(FIRST) is None
    assert ledger.claim(Resent(DeadLetterPosition(0, 17), "bob@there", 2_000)) == FIRST
    assert ledger.claim(Resent(DeadLetterPosition(0, 18), "bob@there", 2_000)) is None


def test_a_claim_is_without_a_place_until_it_is_confirmed(ledger):
    ledger.claim(FIRST)
    assert ledger.all() == {FIRST.letter: FIRST}
    ledger.confirm(DONE)
    assert ledger.all() == {FIRST.letter: DONE}


def test_what_was_certainly_not_sent_can_be_claimed_anew(ledger):
    ledger.claim(FIRST)
    ledger.withdraw(FIRST.letter)
    assert ledger.all() == {}
    assert ledger.claim(FIRST) is None
