"""A conversation over the topics: asked, listed, answered in words, accepted or rejected.

Knows which messages that takes. Does not know a terminal (``cli.chat``).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Self, TypeVar

from streamrec.apps import clients
from streamrec.core import topics
from streamrec.core.events import Interaction, Kind, Recommendation, ReplyMessage, Request
from streamrec.infra.clock import SystemClock
from streamrec.infra.wire.follower import Follower
from streamrec.settings import Settings

CLIENT = "streamrec-chat"
TURNS = 10
"""What was asked before, told with a question."""

Found = TypeVar("Found")


class Conversation:
    """Of one user, by the id in topics and stores. A context manager.

    Raises (every method): Unavailable.
    """

    def __init__(self, settings: Settings, user: str) -> None:
        self.conversation_id = f"chat-{uuid.uuid4().hex[:12]}"
        self._settings, self._user = settings, user
        self._codec, self._clock = clients.codec(settings), SystemClock()
        self._asked: list[str] = []
        self._stack = ExitStack()
        self._said: dict[str, ReplyMessage] = {}  # the newest by list
        self._lists: dict[str, Recommendation] = {}  # by request

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            followed = (topics.RECOMMENDATIONS, topics.REPLIES)
            key = self._user.encode()
            self._answers = stack.enter_context(
                Follower(
                    self._settings.kafka,
                    self._codec,
                    followed,
                    CLIENT,
                    wanted=lambda _, user: user == key,
                )
            )
            self._publisher = clients.publisher(self._settings, CLIENT)
            stack.callback(self._publisher.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, query: str, k: int, wait_s: float) -> Recommendation | None:
        """The list; None when it did not come in time."""
        request = Request(
            request_id=f"chat-{uuid.uuid4().hex[:12]}",
            user_id=self._user,
            requested_at_ms=self._clock.now_ms(),
            k=k,
            query=query,
            reply=True,
            context=tuple(self._asked[-TURNS:]),
            conversation_id=self.conversation_id,
        )
        self._asked.append(query)
        self._send(topics.REQUESTS, request)
        self._event(f"search-{request.request_id}", Kind.SEARCH, query=query)
        self._publisher.flush()
        return next(filter(None, self._until(wait_s, self._lists, request.request_id)), None)

    def reply(
        self,
        about: Recommendation,
        wait_s: float,
        hear: Callable[[str], object] = lambda _: None,
    ) -> ReplyMessage | None:
        """The last word on a list; None when it did not come in time. ``hear``: is told the text so
        far, whenever there is another one."""
        text = ""
        for found in self._until(wait_s, self._said, about.recommendation_id):
            if found is not None and found.text != text:
                text = found.text
                hear(text)
            if found is not None and found.final:
                return found
        return None

    def judge(self, reply: ReplyMessage, kind: Kind) -> None:
        """``kind``: accept or reject."""
        event_id = f"{kind.value}-{reply.reply_id}"
        self._event(event_id, kind, reply_id=reply.reply_id)
        self._publisher.flush()

    def take(self, item_id: str, about: Recommendation, reply: ReplyMessage | None) -> None:
        """A click on an item of the list."""
        self._event(
            f"click-{uuid.uuid4().hex[:12]}",
            Kind.CLICK,
            item_id=item_id,
            recommendation_id=about.recommendation_id,
            reply_id=reply.reply_id if reply else None,
        )
        self._publisher.flush()

    def _event(
        self,
        event_id: str,
        kind: Kind,
        item_id: str = "",
        *,
        query: str | None = None,
        recommendation_id: str | None = None,
        reply_id: str | None = None,
    ) -> None:
        event = Interaction(
            event_id,
            self._user,
            item_id,
            kind,
            self._clock.now_ms(),
            query=query,
            recommendation_id=recommendation_id,
            reply_id=reply_id,
            conversation_id=self.conversation_id,
        )
        self._send(topics.EVENTS, event)

    def _send(self, topic: str, value: object) -> None:
        self._publisher.publish(topic, self._user.encode(), self._codec.encode(topic, value))

    def _until(
        self, wait_s: float, known: Mapping[str, Found], name: str
    ) -> Iterator[Found | None]:
        """What is known under a name, again and again while there is time."""
        deadline = time.monotonic() + wait_s
        while True:
            yield known.get(name)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            for message in self._answers.poll(min(left_s, 0.5)):
                self._take_in(message.value)

    def _take_in(self, found: object) -> None:
        if isinstance(found, Recommendation):
            self._lists[found.trigger_id] = found
        elif isinstance(found, ReplyMessage):
            before = self._said.get(found.recommendation_id)
            if before is None or before.sequence < found.sequence:
                self._said[found.recommendation_id] = found
