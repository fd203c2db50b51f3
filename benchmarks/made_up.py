"""A made-up catalogue with a structure, as feature workers would have left it, for any size.

Items belong to topics, topics to broader ones; texts are vectors around them, popularity is Zipf's,
and a user clicks mostly within three topics. So there is something for every generator of
candidates to find, and something for each to miss.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from streamrec.core.events import Interaction, Item, Kind, Source
from streamrec.core.state.catalogue import Catalogue, item_record
from streamrec.core.state.fold import Located
from streamrec.core.state.statistics import Statistics
from streamrec.models.dot_rows import DotRows
from streamrec.models.encoder import TextEncoder
from streamrec.models.item_index import IndexView, ItemIndex
from streamrec.ports import Writes
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_fold
from streamrec.tasks.ranking.model.head import INPUTS, Head
from tests.fakes.store import FakePartitionStore

ITEMS_A_TOPIC = 100
TOPICS_A_FIELD = 30
START_MS = 1_767_323_045_000
RUN = 2_000
SPREAD = 0.35
"""Words by which an item differs from its topic, over those that it shares."""


def vectors(items: int, dim: int) -> torch.Tensor:
    """Unit vectors (N, D) with a spectrum that falls off as that of texts does."""
    drawn = torch.Generator().manual_seed(0)
    scale_D = (1 + torch.arange(dim)) ** -0.4
    topics = max(1, items // ITEMS_A_TOPIC)
    fields = max(1, topics // TOPICS_A_FIELD)
    field_FD = torch.randn(fields, dim, generator=drawn) * scale_D
    topic_TD = torch.randn(topics, dim, generator=drawn) * scale_D
    topic_TD += field_FD[torch.arange(topics) % fields]
    found_ND = torch.empty(items, dim)
    for start in range(0, items, 50_000):
        rows = torch.arange(start, min(start + 50_000, items))
        own_SD = torch.randn(len(rows), dim, generator=drawn) * scale_D
        raw_SD = topic_TD[rows % topics] + (1 + 2 * SPREAD) * own_SD
        found_ND[start : start + len(rows)] = torch.nn.functional.normalize(raw_SD, dim=-1)
    return found_ND


class DrawnIndex(ItemIndex):
    """Those vectors instead of encoded texts: the same work for whoever ranks."""

    def __init__(self, encoder: TextEncoder, vectors_ND: torch.Tensor) -> None:
        super().__init__(encoder)
        centre_D = torch.zeros(vectors_ND.shape[1])
        self._view = IndexView(vectors_ND, centre_D, DotRows(vectors_ND))

    def ensure(self, catalogue: object, stop: object = None) -> int:
        del catalogue, stop
        return 0


def item(n: int, items: int) -> Item:
    topics = max(1, items // ITEMS_A_TOPIC)
    topic = n % topics
    field = topic % max(1, topics // TOPICS_A_FIELD)
    title = f"name{n % 4_999} of{topic} kind{n % 397}"
    return Item(f"i{n}", title, categories=(f"c{field % 40}", f"d{topic % 23}"))


def _clicks(items: int, users: int, events: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Whose each click is, and of what."""
    rng = np.random.default_rng(0)
    topics = max(1, items // ITEMS_A_TOPIC)
    likes_U3 = rng.integers(topics, size=(users, 3))
    who_E = rng.integers(users, size=events)
    topic_E = likes_U3[who_E, rng.integers(3, size=events)]
    within_E = np.minimum(rng.zipf(1.3, events) - 1, items // topics - 1)
    anything_E = np.minimum(rng.zipf(1.2, events) - 1, items - 1)
    own_E = topic_E + topics * within_E
    return who_E, np.where(rng.random(events) < 0.75, own_E, anything_E)


def fill(store: FakePartitionStore, items: int, users: int, events: int) -> None:
    """Catalogue, statistics and users."""
    rows = {f"i{n}": item_record(item(n, items)) for n in range(items)}
    store.commit(Source("items", 0), 0, 1, Writes(rows=rows))
    del rows
    catalogue = Catalogue()  # what is clicked is all that a fold has to know
    clicked = np.unique(_clicks(items, users, events)[1]).tolist()
    catalogue.put([item(n, items) for n in clicked])
    fold = ranking_fold(0, RankingRules(sampled_negatives=1), catalogue, Statistics(catalogue))
    users_out: dict[str, dict] = {}
    rows_out: dict[str, dict] = {}
    for run in _runs(items, users, events):
        fold.put_users({user: users_out.get(user) for user in fold.missing_users(run)})
        result = fold.apply(run, START_MS)
        users_out |= result.users
        rows_out |= result.rows
    store.commit(Source("events", 0), 0, events, Writes(users=users_out, rows=rows_out))


def _runs(items: int, users: int, events: int) -> Iterator[list[Located]]:
    who_E, what_E = _clicks(items, users, events)
    for start in range(0, events, RUN):
        yield [
            Located(at, when, Interaction(f"e{at}", f"u{who}", f"i{what}", Kind.CLICK, when))
            for at, who, what in zip(
                range(start, start + RUN), who_E[start:], what_E[start:], strict=False
            )
            for when in (START_MS + at * 1000,)
        ]


LEARNED = {
    "accepts_5000ev": 0.5,
    "accepts_24h": 0.3,
    "rate_5000ev": 0.3,
    "since_accept": -0.3,
    "affinity_lift": 0.3,
    "after_last": 0.3,
    "after_recent": 0.4,
    "with_cosine": 0.3,
    "popularity_gap": -0.3,
    "shared_word": 0.2,
    "sim_decayed": 0.4,
    "sim_max": 0.3,
    "sim_attention": 0.3,
}
"""Linear weights as heads learn them on recorded streams, rounded."""


def usual_head() -> Head:
    """What is learned on a recorded stream, in its main lines; the network's part is random."""
    drawn = torch.Generator().manual_seed(1)
    head = Head(drawn)
    head.linear_D.data = torch.tensor([LEARNED.get(name, 0.0) for name in INPUTS])
    head.outer_M.data.normal_(std=0.02, generator=drawn)
    return head
