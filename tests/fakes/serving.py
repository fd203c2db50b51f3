"""Models, swaps and triggers in memory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import Catalogue, IntArray
from streamrec.core.state.user_state import HISTORY, UserState
from streamrec.errors import GenerationRefused, Unavailable
from streamrec.ports import Delivered
from streamrec.tasks.ranking.features import FeatureMaker
from streamrec.tasks.ranking.lists.model_ports import Account, Ranking
from streamrec.tasks.ranking.lists.reasons import GROUPS


class FakeRanking:
    """Accounts in which every input is 1 and every part is as told."""

    names = ("accepts_24h", "sim_max", "after_last")

    def __init__(self, scores_BN: FloatArray, parts: Mapping[str, float]) -> None:
        self.scores_BN = scores_BN
        self._parts_G = np.array([parts.get(group, 0.0) for group in GROUPS], np.float32)

    def account(self, users_T: IntArray, rows_T: IntArray) -> Account:
        inputs_TD = np.ones((len(rows_T), len(self.names)), np.float32)
        closeness_TH = np.tile(np.arange(HISTORY, dtype=np.float32), (len(rows_T), 1))
        parts_TG = np.tile(self._parts_G, (len(rows_T), 1))
        return Account(inputs_TD, inputs_TD, parts_TG, closeness_TH)


class FakeModel:
    """Scores an item by its id (``scores``, 0 where not named); probability is its sigmoid."""

    has_candidates = False

    def __init__(
        self, generation: str, catalogue: Catalogue, scores: Mapping[str, float] | None = None
    ) -> None:
        self.generation = generation
        self.trained_through: Mapping[str, int] = {"0": 7}
        self.scores = dict(scores or {})
        self.parts: dict[str, float] = {}  # group -> what it adds to every score
        self.similar: dict[str, dict[str, float]] = {}  # query -> item id -> cosine
        self.queries: list[str] = []
        self.asked: list[tuple[tuple[str, ...], int]] = []  # (history, now_ms) of every user
        self._catalogue = catalogue

    def ranking(
        self, users: Sequence[UserState], now_ms: Sequence[int], features: FeatureMaker
    ) -> FakeRanking:
        return FakeRanking(self.rank(users, now_ms, features), self.parts)

    def rank(
        self, users: Sequence[UserState], now_ms: Sequence[int], features: FeatureMaker
    ) -> FloatArray:
        self.asked += [(user.history, at) for user, at in zip(users, now_ms, strict=True)]
        row = self._by_row(self.scores, len(features.item_NI))
        return np.tile(row, (len(users), 1))

    def probability(self, scores: FloatArray) -> FloatArray:
        return np.asarray(1 / (1 + np.exp(-scores)), np.float32)

    def asked_for(
        self, ranking: Ranking, users_A: Sequence[int], queries: Sequence[str]
    ) -> FloatArray:
        self.queries += queries
        rows = ranking.scores_BN.shape[1]
        return np.stack([self._by_row(self.similar.get(q, {}), rows) for q in queries])

    def _by_row(self, values: Mapping[str, float], rows: int) -> FloatArray:
        ids = [self._catalogue.item(row).item_id for row in range(rows)]
        return np.array([values.get(item_id, 0.0) for item_id in ids], np.float32)


@dataclass
class FakeHotSwap:
    """``refuses``: generation -> why it cannot be loaded."""

    catalogue: Catalogue
    refuses: dict[str, str] = field(default_factory=dict)
    warm: dict[str, FakeModel] = field(default_factory=dict)
    active: FakeModel | None = None
    staged: list[str] = field(default_factory=list)  # loads, in order
    ensured: int = 0
    make: Callable[[str, Catalogue], FakeModel] = FakeModel
    hold: threading.Event = field(default_factory=threading.Event)  # cleared: loading hangs

    def __post_init__(self) -> None:
        self.hold.set()

    def stage(self, generation: str, directory: Path, catalogue: Catalogue) -> None:
        self.hold.wait(10)
        if generation in self.refuses:
            raise GenerationRefused(self.refuses[generation])
        self.staged.append(generation)
        self.warm[generation] = self.make(generation, self.catalogue)

    def is_warm(self, generation: str) -> bool:
        return generation in self.warm

    def model(self, generation: str) -> FakeModel | None:
        return self.warm.get(generation)

    def activate(self, generation: str) -> None:
        if generation not in self.warm:
            raise GenerationRefused(f"{generation} is not warm")
        self.active = self.warm[generation]

    def keep(self, generations: Sequence[str]) -> None:
        kept = {*generations, self.active.generation if self.active else ""}
        self.warm = {name: model for name, model in self.warm.items() if name in kept}

    def ensure(self, catalogue: Catalogue) -> int:
        self.ensured += 1
        return 0


class FakeTriggerFeed:
    """A queue with a commit position; ``restart`` gives back what was not committed."""

    def __init__(self) -> None:
        self.messages: list[Delivered] = []
        self.down = False
        self.position = 0
        self.committed = 0
        self.closed = False
        self.superseded = 0
        self._news = threading.Condition()

    def send(self, *messages: Delivered) -> None:
        with self._news:
            self.messages += messages
            self._news.notify_all()

    def poll(self, timeout_s: float, limit: int) -> list[Delivered]:
        self._reachable()
        with self._news:
            self._news.wait_for(lambda: len(self.messages) > self.position, timeout_s)
            handed = self.messages[self.position : self.position + limit]
            self.position += len(handed)
        return handed

    def stay(self, timeout_s: float) -> None:
        self._reachable()
        threading.Event().wait(timeout_s)

    def commit(self) -> None:
        self._reachable()
        self.committed = self.position

    def lag(self) -> Mapping[str, int]:
        return Counter(message.topic for message in self.messages[self.position :])

    def restart(self) -> None:
        self.position = self.committed

    def _reachable(self) -> None:
        if self.down:
            raise Unavailable("Kafka is away", 0.01)
