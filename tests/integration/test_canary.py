"""A bad generation goes out to a share of the users, and is taken back by what they do.

Serving workers, Kafka and Redis are real; the users are this test's: each clicks on lists
like the first one it got, from the good generation.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from streamrec.apps import clients
from streamrec.core import topics
from streamrec.core.events import Interaction, Kind, Recommendation
from streamrec.core.release.live_metric import JoinRules, LiveMetric
from streamrec.core.release.registry import Action, ControlRecord
from streamrec.core.release.sequential_test import TestRules
from streamrec.infra.clock import SystemClock
from streamrec.infra.stores.live_board import RedisLiveBoard
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.wire.follower import Follower
from streamrec.lab.measures.drill_check import mixed
from streamrec.loop.background import Background
from streamrec.loop.releasing.canary_rollout import CanaryRollout, CanaryRolloutRules
from streamrec.loop.releasing.live_watch import LiveWatch
from streamrec.loop.releasing.outcomes import TOPICS, Outcomes
from streamrec.loop.releasing.release import CANARY_ACTOR, Outcome, ReleaseService
from tests.fakes.language_models import save_tiny_model
from tests.harness.public import Public
from tests.harness.serving_loop import Loop, serving_loop
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

USERS = [f"user{n}" for n in range(60)]


@pytest.fixture
def loop(embedded_kafka, embedded_redis, fresh_prefix, tmp_path) -> Iterator[Loop]:
    names = fresh_prefix.topic, fresh_prefix.redis
    model: Path = save_tiny_model("bert", tmp_path / "model")
    with serving_loop(embedded_kafka, embedded_redis, names, model, tmp_path) as loop:
        yield loop


class Everybody(Public):
    """Everybody asks again and again, and says what they saw and liked of each list."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop
        self._liked: dict[str, frozenset[str]] = {}
        self._random = random.Random(5)

    def _live(self) -> None:
        loop, turn = self._loop, 0
        follower = Follower(loop.settings.kafka, loop.codec, ["recommendations"], "public")
        with closing(follower), closing(clients.publisher(loop.settings, "public")) as publisher:
            loop.publisher = publisher
            while not self._stop.is_set():
                turn += 1
                for user in USERS:
                    loop.ask(user, f"{turn}-{user}")
                seen = follower.poll(0.3)
                for one in seen:
                    self._react(one.value)

    def _react(self, shown: Recommendation) -> None:
        self.lists.append(shown)
        items = [item.item_id for item in shown.items]
        liked = self._liked.setdefault(shown.user_id, frozenset(items))
        likes = items[0] in liked and self._random.random() < 0.6
        event = Interaction(
            f"seen-{shown.recommendation_id}",
            shown.user_id,
            items[0],
            Kind.CLICK if likes else Kind.VIEW,
            SystemClock().now_ms(),
            recommendation_id=shown.recommendation_id,
        )
        self._loop.send("events", shown.user_id, self._loop.codec.encode("events", event))


def controls(loop: Loop) -> list[tuple[int, ControlRecord]]:
    codec, kafka = loop.codec, loop.settings.kafka
    with Follower(kafka, codec, [topics.ADAPTERS], "t", from_start=True) as log:
        found = []
        eventually(lambda: found.extend(log.poll(0.5)) or found)
    return [(one.timestamp_ms, one.value) for one in found]


@pytest.mark.timeout(180)
def test_a_bad_generation_is_taken_back_by_what_its_share_of_users_does(loop) -> None:
    for name in ("serving-1", "serving-2"):
        loop.worker(name)
    eventually(lambda: len(loop.serving()) == 2)
    for n, user in enumerate(USERS):
        loop.click(user, f"item{n % 40}")
    good = loop.release()
    bad, directory = loop.generation(parent=good, inverse_of=1)
    clock, stop = SystemClock(), threading.Event()
    with ExitStack() as stack:
        follower = stack.enter_context(
            Follower(loop.settings.kafka, loop.codec, TOPICS, "trainer-outcomes")
        )
        outcomes = Outcomes(follower.poll, LiveMetric(JoinRules(window_ms=1500)), clock)
        control = stack.enter_context(clients.control_log(loop.settings))
        rules = CanaryRolloutRules(0.3, min_s=1, max_s=120, test=TestRules(min_lists=60))
        service = ReleaseService(
            control, loop.fleet, clients.registry_store(loop.settings), clock, "trainer",
            rollout=CanaryRollout(outcomes, loop.fleet, clock, stop.wait, rules),
        )  # fmt: skip
        board = RedisLiveBoard(
            stack.enter_context(connect_redis(loop.settings.redis)),
            loop.settings.redis.key_prefix,
        )
        observed = stack.enter_context(clients.control_log(loop.settings))
        watch = LiveWatch(outcomes, lambda: observed.latest().state, board.put, clock, rules.test)
        threads = [
            Background("outcomes", outcomes.listen, 0.0, stop),
            Background("live", watch.report, 0.2, stop),
        ]
        with Everybody(loop) as public:
            eventually(lambda: {one.user_id for one in public.lists} >= set(USERS))
            for thread in threads:
                thread.start()
            began_ms = clock.now_ms()
            report = service.publish(bad, directory, "the gate was fooled")
            took_s = (clock.now_ms() - began_ms) / 1000
            known = board.get()
            before = len(public.lists)
            eventually(lambda: len(public.lists) > before + 2 * len(USERS))
        stop.set()
        for thread in threads:
            thread.join(5.0)
            assert thread.error is None

    log = controls(loop)
    last = log[-1][1]
    assert report.outcome is Outcome.ABANDONED, report.reason
    assert (last.action, last.actor, last.generation) == (Action.ABANDON, CANARY_ACTOR, bad)
    assert (last.state.champion, last.state.canary) == (good, None)
    assert "harm after" in last.reason
    assert took_s < 60
    assert known is not None
    assert {one.generation for one in known.generations} >= {good}

    canary = next(record.state.canary for _, record in log if record.state.canary)
    made_by = defaultdict(set)
    for one in public.lists:
        made_by[one.user_id].add(one.generation)
    for user in USERS:
        assert made_by[user] == ({good, bad} if canary.gets(user) else {good}), user
    assert {one.generation for one in public.lists[-len(USERS) :]} == {good}
    assert mixed(log, public.lists) == []
    assert all(worker.canary is None for worker in loop.serving().values())
