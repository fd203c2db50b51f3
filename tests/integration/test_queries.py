"""Searches on Apache Kafka from end to end: asked, shown, clicked, learned, and answered better.

Whoever asks for "show me" and a title wants that item. Before anything is learned an item that is
named beside other words counts for less, as in "something like …"; clicks have to tell the query
part of the head otherwise, and what was shown and passed over tells it too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from streamrec.apps import clients
from streamrec.core import topics
from streamrec.core.events import Interaction, Item, Kind, Recommendation, Request
from streamrec.core.examples import TrainingBatch
from streamrec.infra.clock import SystemClock
from streamrec.infra.wire.follower import Follower
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.settings import (
    Adapter,
    EncoderSettings,
    IngestSettings,
    KafkaSettings,
    RedisSettings,
    Settings,
    TrainerSettings,
)
from streamrec.tasks.ranking.examples import RankingExample
from tests.fakes.language_models import save_tiny_model
from tests.harness.waiting import eventually
from tests.harness.worker_process import WorkerProcess

pytestmark = [pytest.mark.apache_kafka, pytest.mark.redis_server, pytest.mark.slow]

ITEMS = [Item(f"i{n}", f"word{2 * n} word{2 * n + 1}") for n in range(40)]
CLICKED, NEVER_SHOWN = ITEMS[:30], ITEMS[30]
SEARCHES, SHOWN, EVERY_MS = 100, 4, 10_000


class Shop:
    """What people do, and what they get."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self._codec = clients.codec(settings)
        self._publisher = clients.publisher(settings, "test")
        stack.callback(self._publisher.close)
        followed = (topics.RECOMMENDATIONS, topics.TRAINING_BATCHES)
        self._follower = stack.enter_context(
            Follower(settings.kafka, self._codec, followed, "test", from_start=True)
        )
        self._clock, self._numbers, self._rng = SystemClock(), count(1), random.Random(1)
        self._at_ms = 1_772_000_000_000
        self.examples: list[RankingExample] = []
        self.answers: dict[str, Recommendation] = {}

    def load(self) -> None:
        for item in ITEMS:
            self._send(topics.ITEMS, item.item_id, item)
        self._publisher.flush()

    def ask(self, query: str, *context: str) -> Recommendation:
        """A list for somebody nobody knows."""
        user, now_ms = f"asker{next(self._numbers)}", self._clock.now_ms()
        request = Request(f"for-{user}", user, now_ms, k=len(ITEMS), query=query, context=context)
        self._send(topics.REQUESTS, user, request)
        self._publisher.flush()
        return eventually(lambda: self._answer(request.request_id), 200, f"a list for {query}")

    def people_search(self) -> None:
        """Each searches, sees a list with what was asked for, and clicks that alone."""
        for _ in range(SEARCHES):
            shown = self._rng.sample(CLICKED, SHOWN)
            self.searched(f"u{next(self._numbers)}", self._rng.choice(shown), shown)
        self._publisher.flush()

    def searched(
        self, user: str, wanted: Item, shown: list[Item], recommendation: str | None = None
    ) -> None:
        number, query = next(self._numbers), f"show me {wanted.title}"
        self._at_ms += EVERY_MS
        search = Interaction(f"s{number}", user, "", Kind.SEARCH, self._at_ms, query=query)
        self._send(topics.EVENTS, user, search)
        for place, item in enumerate([*shown, wanted]):
            clicked = place == len(shown)
            event = Interaction(
                f"e{number}-{place}", user, item.item_id,
                Kind.CLICK if clicked else Kind.VIEW, self._at_ms + 1 + place,
                impression_id=f"p{number}", position=None if clicked else place,
                recommendation_id=recommendation or f"request:r{number}",
            )  # fmt: skip
            self._send(topics.EVENTS, user, event)

    def look(self) -> None:
        for seen in self._follower.poll(0.05):
            if isinstance(seen.value, Recommendation):
                self.answers.setdefault(seen.value.trigger_id, seen.value)
            elif isinstance(seen.value, TrainingBatch):
                self.examples += [
                    one for one in seen.value.examples if isinstance(one, RankingExample)
                ]

    def _answer(self, request_id: str) -> Recommendation | None:
        self.look()
        return self.answers.get(request_id)

    def _send(self, topic: str, key: str, value: Item | Request | Interaction) -> None:
        self._publisher.publish(topic, key.encode(), self._codec.encode(topic, value))


@pytest.fixture
def shop(apache_kafka: str, redis_url: str, fresh_prefix, tmp_path: Path) -> Iterator[Shop]:
    settings = Settings(
        state_dir=tmp_path / "state",
        kafka=KafkaSettings(apache_kafka, fresh_prefix.topic, partitions=1),
        redis=RedisSettings(url=redis_url, key_prefix=fresh_prefix.redis),
        ingest=IngestSettings(attribution_window_s=EVERY_MS / 1000),
        encoder=EncoderSettings(
            model=str(save_tiny_model("bert", tmp_path / "model")),
            device="cpu", dtype="float32", threads=1, adapter=Adapter.NONE,
        ),
        trainer=TrainerSettings(
            release_examples=100, release_s=2.0, gate_examples=30, gate_s=2.0, swap_timeout_s=5.0,
        ),
    )  # fmt: skip
    create_topics(settings.kafka)
    with ExitStack() as stack:
        shop = Shop(settings, stack)
        shop.load()
        for role in ("features", "trainer", "serving"):
            worker = WorkerProcess(role, f"{role}-1", settings, tmp_path / f"{role}.log")
            worker.start()
            stack.callback(worker.end)
        yield shop


def place_of(item: Item, answer: Recommendation) -> int:
    return [one.item_id for one in answer.items].index(item.item_id)


@pytest.mark.timeout(400)
def test_what_searches_led_to_is_learned_and_lists_show_it(shop: Shop) -> None:
    asked = f"show me {NEVER_SHOWN.title}"
    before = shop.ask(asked, "word80 word81")
    assert place_of(NEVER_SHOWN, before) > 0, "it is named beside other words"

    # somebody clicks in the very list that the query got
    titles = {item.item_id: item for item in ITEMS}
    shown = [titles[one.item_id] for one in before.items if titles[one.item_id] in CLICKED][:SHOWN]
    shop.searched(before.user_id, shown[-1], shown, before.recommendation_id)
    shop.people_search()

    def learned() -> bool:
        shop.people_search()
        return place_of(NEVER_SHOWN, shop.ask(asked, "word80 word81")) == 0

    eventually(learned, 240, "the item that is asked for comes first, though nobody has seen it")
    first = next(one for one in shop.examples if one.user_id == before.user_id)
    assert first.query == f"show me {shown[-1].title}", "the search shortly before led to it"
    assert first.candidates == tuple(item.item_id for item in shown)
    assert first.labels_C.tolist() == [0.0] * (SHOWN - 1) + [1.0], "shown and passed over, and not"
    assert shop.ask(asked).generation != before.generation
