"""A catalogue searched for candidates, and a generation over vectors of a tiny model."""

from __future__ import annotations

from pathlib import Path

from benchmarks import made_up
from streamrec.core.events import Filters, Item, Request, Source
from streamrec.core.state.catalogue import item_record
from streamrec.core.state.user_state import NEW_USER, UserState
from streamrec.infra.wire.codec import WireCodec
from streamrec.models.generation import read_generation
from streamrec.models.item_index import ItemIndex
from streamrec.ports import Answer, Delivered, Writes
from streamrec.ports.edges import Edges
from streamrec.tasks.ranking.lists.lists import ListAnswerer
from streamrec.tasks.ranking.lists.state_mirror import Mirror
from streamrec.tasks.ranking.model.served import ServedGeneration, head_expectations
from tests.fakes.clock import FakeClock
from tests.fakes.language_models import tiny_encoder
from tests.fakes.publisher import FakePublisher
from tests.fakes.store import FakePartitionStore
from tests.harness.generations import new_generation

ITEMS, USERS = 3_000, 40
EVENTS = Source("events", 0)


class CandidateWorld:
    """``model`` scores candidates, ``exact`` every item, with the same weights."""

    def __init__(self, scratch: Path) -> None:
        self.store = FakePartitionStore()
        made_up.fill(self.store, ITEMS, USERS, events=1_000)
        self.mirror = Mirror(self.store, {"events": 1, "items": 1})
        self.mirror.refresh()
        self.encoder = tiny_encoder()
        self.index, self.scratch = ItemIndex(self.encoder), scratch
        self.index.ensure(self.mirror.catalogue)
        self.exact = self.generation("exact", None)
        self.model = self.generation("candidates", 1)
        edges = Edges(self.store, FakePublisher(), WireCodec(), FakeClock(), lambda _: 0)
        self.answerer = ListAnswerer(edges, self.mirror, worker_id="w", k=10)

    def generation(self, name: str, candidates_from: int | None) -> ServedGeneration:
        new_generation(self.scratch / name, self.encoder, 1, head=made_up.usual_head())
        read = read_generation(self.scratch / name, head_expectations(self.encoder))
        return ServedGeneration(read, self.index, self.mirror.catalogue, candidates_from)

    def put(self, item: Item | None, item_id: str = "") -> None:
        """Add or change an item; None: remove it. Workers take it in."""
        at = self.store.position(Source("items", 0))
        rows = {item.item_id: item_record(item)} if item else {item_id: None}
        self.store.commit(Source("items", 0), at, at + 1, Writes(rows=rows))
        self.answerer.refresh()
        self.index.ensure(self.mirror.catalogue)

    def state(self, user: str) -> UserState:
        record = self.store.read_users(EVENTS, [user])[1][0]
        return NEW_USER if record is None else UserState.from_record(record)

    def listed(
        self, user: str, model: ServedGeneration | None = None, **asked: object
    ) -> list[str]:
        return [one.item_id for one in self.answers(user, model, **asked)[0].value.items]

    def answers(
        self, user: str, model: ServedGeneration | None = None, **asked: object
    ) -> list[Answer]:
        request = Request("r", user, 0, **{"k": 10, "filters": Filters()} | asked)
        batch = [Delivered("requests", 0, 0, 0, None, b"", request)]
        requests, _ = self.answerer.asked(batch)
        return list(self.answerer.answer(requests, model or self.model).answers)
