"""A serving stage over fakes, and the messages it is fed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from streamrec.core.events import (
    Item,
    Kind,
    Recommendation,
    Request,
    Source,
    UserUpdate,
)
from streamrec.core.state.catalogue import item_record
from streamrec.core.state.user_state import UserState
from streamrec.errors import Refused
from streamrec.infra.wire.codec import WireCodec
from streamrec.loop.serving.serve import Served, Server
from streamrec.ports import NO_TRACER, Delivered, Tracer, Writes
from streamrec.ports.edges import Edges
from streamrec.tasks.ranking.lists.lists import ListAnswerer
from streamrec.tasks.ranking.lists.state_mirror import Mirror
from tests.fakes.clock import FakeClock
from tests.fakes.publisher import FakePublisher
from tests.fakes.serving import FakeModel
from tests.fakes.store import FakePartitionStore

PARTITIONS = {"events": 2, "items": 2}


def partition_of(user_id: str) -> int:
    return len(user_id) % 2


@dataclass
class Counter:
    """What the rest of the loop would have done: items and users in the store."""

    store: FakePartitionStore = field(default_factory=FakePartitionStore)
    publisher: FakePublisher = field(default_factory=FakePublisher)
    clock: FakeClock = field(default_factory=FakeClock)
    codec: WireCodec = field(default_factory=WireCodec)
    tracer: Tracer = NO_TRACER

    def __post_init__(self) -> None:
        self.mirror = Mirror(self.store, PARTITIONS)
        self.edges = Edges(
            self.store, self.publisher, self.codec, self.clock, partition_of, tracer=self.tracer
        )
        self.answerer = ListAnswerer(self.edges, self.mirror, worker_id="serving-1", k=3)
        self.server = Server(self.edges, self.answerer)
        self.model = FakeModel("g1", self.mirror.catalogue)

    def add_items(self, *items: Item) -> None:
        for item in items:
            source = Source("items", len(item.item_id) % 2)
            at = self.store.position(source)
            writes = Writes(rows={item.item_id: item_record(item)})
            self.store.commit(source, at, at + 1, writes)

    def set_user(self, user_id: str, state: UserState) -> None:
        source = Source("events", partition_of(user_id))
        at = self.store.position(source)
        self.store.commit(source, at, at + 1, Writes(users={user_id: state.to_record()}))

    def serve(self, *batch: Delivered) -> list[Recommendation]:
        """Refresh, serve, and read back what went out."""
        self.mirror.refresh()
        before = len(self.published)
        self.served = self.server.serve(batch, self.model)
        return self.published[before:]

    @property
    def published(self) -> list[Recommendation]:
        values = self.publisher.values("recommendations")
        return [self.codec.decode("recommendations", value) for value in values]


def items(*ids: str) -> list[Item]:
    return [Item(item_id, f"title of {item_id}") for item_id in ids]


def update(user_id: str, offset: int = 5, at_ms: int = 1_767_323_044_000) -> Delivered:
    value = UserUpdate(
        user_id, "a", Kind.CLICK, partition_of(user_id), offset, at_ms - 1000, at_ms, at_ms + 5
    )
    return Delivered("user-updates", 0, offset, at_ms + 6, user_id.encode(), b"raw", value)


def request(user_id: str, request_id: str = "r1", offset: int = 0, **fields: object) -> Delivered:
    value = Request(request_id, user_id, 1_767_323_044_000, **fields)
    return Delivered("requests", 0, offset, 1_767_323_044_100, user_id.encode(), b"raw", value)


def refused(error: Refused, offset: int = 3) -> Delivered:
    return Delivered("requests", 1, offset, 1_767_323_044_100, b"key", b"not a request", error)


def shown(recommendation: Recommendation) -> Sequence[str]:
    return [item.item_id for item in recommendation.items]


def lists(served: Served) -> list[Recommendation]:
    """What was published."""
    return [answer.value for answer in served.answers if isinstance(answer.value, Recommendation)]
