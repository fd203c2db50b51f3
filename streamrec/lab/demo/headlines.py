"""Headline tests played through the loop: the acts, in their order.

1. Recorded tests from their archive's home, or from a file; servers and workers on a fresh state
   directory, a trainer of copy among them.
2. Items with the first tests' headlines; wait until every worker is ready.
3. People ask for the page and get one headline of each story; their views and clicks come back.
   Tests end and others open, while copy's trainer learns what is clicked.
4. Three quarters through, copy's champion is rolled back and brought forward again.
5. Let the workers finish what is on the topics; the summary; stop everything.

Knows how people ask and answer. What a test is and who clicks: ``newsroom``.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from streamrec.apps import clients
from streamrec.core import topics
from streamrec.core.events import Item, Recommendation, Request, Source
from streamrec.core.tasks import COPY
from streamrec.errors import Unavailable
from streamrec.infra.stores.headline_archive import recorded_headlines
from streamrec.infra.wire.follower import Follower
from streamrec.infra.wire.kafka_topics import partition_counts
from streamrec.lab.demo.headline_panel import HeadlinePanel, headline_summary
from streamrec.lab.demo.headline_watch import HEADLINE_TOPICS, HeadlineWatch, looked_into
from streamrec.lab.demo.newsroom import Newsroom
from streamrec.lab.demo.screen import Screen
from streamrec.lab.demo.stage import DemoOptions, Prepared, Stage
from streamrec.lab.demo.waiting import wait_for
from streamrec.lab.replay.headline_tests import HeadlineTest, read_tests
from streamrec.settings import Settings

DRAIN_WITHIN_S = 20.0
MOST_BEHIND = 2_000
"""Events: with more, nobody asks until the loop has come nearer."""
MOST_ASKED = 50
"""Requests without an answer, likewise."""
COUNT_EVERY_S = 0.5
GIVEN_UP_S = 30.0
"""Somebody who waits for so long has gone."""
BURST_S = 0.5
"""After a pause at most this much is caught up at once; the rest of the pause is lost."""


def headline_settings(settings: Settings, options: DemoOptions) -> Settings:
    """No more partitions than feature workers: an example holds 20 clicks of one partition."""
    partitions = max(1, options.processes.features)
    return replace(settings, kafka=replace(settings.kafka, partitions=partitions))


def tests_to_play(given: Settings, data: Path | None, screen: Screen) -> list[HeadlineTest]:
    """From ``data``, or from the archive's home. Raises UserError, BadFile."""
    path = data or recorded_headlines(given.state_dir / "datasets", screen.say)
    tests = read_tests(path)
    arms = sum(len(test.example.texts) for test in tests)
    screen.say(f"{len(tests):,} recorded tests of {arms:,} headlines from {path}")
    return tests


class HeadlinePlay(Stage):
    """One run on a loop that has been started."""

    task = COPY

    def __init__(self, prepared: Prepared, tests: list[HeadlineTest]) -> None:
        super().__init__(prepared)
        self._newsroom = Newsroom(tests)
        self._asked, self._counted_s = 0, 0.0
        self._owed = self._stepped_s = 0.0  # people who are due; when that was looked at last
        self._open: dict[str, float] = {}  # requests without an answer, and when they were made

    def open(self, stack: ExitStack) -> None:
        follower = Follower(
            self.settings.kafka, self.codec, HEADLINE_TOPICS, "streamrec-demo", wanted=looked_into
        )
        self._watch = HeadlineWatch(stack.enter_context(follower), self._answer)
        redis = stack.enter_context(clients.redis(self.settings))
        self._store = clients.partition_store(self.settings, redis)
        partitions = partition_counts(self.settings.kafka)[topics.EVENTS]
        self._sources = [Source(topics.EVENTS, n) for n in range(partitions)]
        self._panel = HeadlinePanel(self._watch, self._newsroom)

    def watch(self, wait_s: float) -> None:
        self._watch.poll(wait_s)
        if time.monotonic() - self._counted_s > COUNT_EVERY_S:
            self._counted_s = time.monotonic()
            with suppress(Unavailable):  # Redis is away for a moment: the next look will do
                self._watch.applied = sum(map(self._store.position, self._sources))

    def picture(self) -> tuple[RenderableType, str]:
        return self._panel.picture(self.played_s)

    def acts(self) -> None:
        self.await_workers(self._newsroom.turn(learned=False), "stories with their headlines")
        with self.screen:
            self.play(self._step, self._say_act)
            self._say_act("finishing")
            wait_for(self._left, DRAIN_WITHIN_S, self.look)

    def summary(self, *, interrupted: bool) -> dict[str, Any]:
        return headline_summary(self, self._watch, self._newsroom, interrupted=interrupted)

    def _say_act(self, act: str) -> None:
        self._panel.act = act

    def _step(self, elapsed_s: float) -> bool:
        """People ask, as many as are due; False when every test has been played."""
        self._publish(self._newsroom.turn(learned=self._watch.learned))
        page = self._newsroom.page
        if not page:
            return False
        for _ in range(self._due(elapsed_s, len(page))):
            self._ask(page)
        self.publisher.flush()
        return True

    def _due(self, elapsed_s: float, stories: int) -> int:
        """How many ask now; a loop that is behind is not asked for more."""
        given_up_s = time.monotonic() - GIVEN_UP_S
        self._open = {one: at_s for one, at_s in self._open.items() if at_s > given_up_s}
        pace = self.options.rate / stories
        self._owed = min(self._owed + (elapsed_s - self._stepped_s) * pace, BURST_S * pace + 1)
        self._stepped_s = elapsed_s
        if self._watch.behind > MOST_BEHIND:
            return 0
        return min(int(self._owed), max(0, MOST_ASKED - len(self._open)))

    def _ask(self, page: tuple[str, ...]) -> None:
        self._asked, self._owed = self._asked + 1, self._owed - 1
        user, now_ms = f"reader-{self._asked}", self.clock.now_ms()
        self._open[f"page-{self._asked}"] = time.monotonic()
        request = Request(f"page-{self._asked}", user, now_ms, k=len(page), candidates=page)
        data = self.codec.encode(topics.REQUESTS, request)
        self.publisher.publish(topics.REQUESTS, user.encode(), data)

    def _answer(self, answer: Recommendation) -> None:
        self._open.pop(answer.trigger_id, None)
        for event in self._newsroom.seen(answer, self.clock.now_ms()):
            data = self.codec.encode(topics.EVENTS, event)
            self.publisher.publish(topics.EVENTS, event.user_id.encode(), data)

    def _publish(self, items: list[Item]) -> None:
        for item in items:
            data = self.codec.encode(topics.ITEMS, item)
            self.publisher.publish(topics.ITEMS, item.item_id.encode(), data)

    def _left(self) -> str:
        self.publisher.flush()
        return "events" if self._watch.behind or self._open else ""
