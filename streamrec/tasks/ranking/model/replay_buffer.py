"""Examples kept for replay: the recent ones, and a fair sample of all before.

An example is kept as the head's inputs, on one index's vectors, beside what they were made
from. One that leaves the ring of recent ones enters the reservoir (Vitter 1985, algorithm R),
so the past is represented however long it was.

Legend: K slots, B drawn, C candidates, D inputs (of ``inputs``) or dimensions, N catalogue rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from streamrec.core.examples import FloatArray, user_hash
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.user_state import HISTORY
from streamrec.models.item_index import Reads
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample
from streamrec.tasks.ranking.features import FEATURES
from streamrec.tasks.ranking.model.query_inputs import QUERY_INPUTS
from streamrec.tasks.ranking.model.ranker import asked_inputs, head_inputs
from streamrec.tasks.ranking.model.similarity import candidate_similarities
from streamrec.tasks.ranking.model.tensors import example_tensors


@dataclass(frozen=True, slots=True, eq=False)
class ReplayBatch:
    """Examples ready for a step: the head's inputs beside what they were made from."""

    inputs: Tensor  # (B, C, D) float16 in memory, float32 when drawn
    labels: Tensor  # (B, C)
    log_q: Tensor  # (B, C)
    mask: Tensor  # (B, C) bool
    kind: Tensor  # (B,)
    rows: Tensor  # (B, C) int32 catalogue rows
    history: Tensor  # (B, H) int32 catalogue rows, newest first
    weight: Tensor  # (B,) in the losses: ``tasks.ranking.quota``
    user: Tensor  # (B,) int64 hash of whose it is, so that it can be forgotten
    query: Tensor  # (B, C, Q) as ``inputs``; of the encoder that read it when it came
    asked: Tensor  # (B,) bool: whether a query led to it

    def __len__(self) -> int:
        return len(self.kind)

    def __getitem__(self, index: Tensor | slice) -> ReplayBatch:
        return ReplayBatch(*(getattr(self, f.name)[index] for f in fields(self)))

    def joined(self, other: ReplayBatch) -> ReplayBatch:
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return ReplayBatch(*(torch.cat(pair) for pair in pairs))

    def as_float(self) -> ReplayBatch:
        return replace(self, inputs=self.inputs.float(), query=self.query.float())


def empty(slots: int, width: int, inputs: int) -> ReplayBatch:
    return ReplayBatch(
        inputs=torch.zeros(slots, width, inputs, dtype=torch.float16),
        labels=torch.zeros(slots, width),
        log_q=torch.zeros(slots, width),
        mask=torch.zeros(slots, width, dtype=torch.bool),
        kind=torch.zeros(slots, dtype=torch.long),
        rows=torch.full((slots, width), -1, dtype=torch.int32),
        history=torch.full((slots, HISTORY), -1, dtype=torch.int32),
        weight=torch.ones(slots),
        user=torch.zeros(slots, dtype=torch.long),
        **_nothing_asked(slots, width),
    )


def _nothing_asked(slots: int, width: int) -> dict[str, Tensor]:
    return {
        "query": torch.zeros(slots, width, len(QUERY_INPUTS), dtype=torch.float16),
        "asked": torch.zeros(slots, dtype=torch.bool),
    }


class ReplayMemory:
    """``recent`` slots as a ring, then ``reservoir`` slots."""

    def __init__(self, recent: int, reservoir: int, width: int, inputs: int) -> None:
        self._recent, self._reservoir = recent, reservoir
        self.stored = empty(recent + reservoir, width, inputs)
        self._seen = 0

    def __len__(self) -> int:
        """Examples held."""
        return min(self._seen, self._recent) + min(self._retired, self._reservoir)

    @property
    def _retired(self) -> int:
        """Examples that have left the ring."""
        return max(0, self._seen - self._recent)

    def add(self, examples: ReplayBatch, generator: torch.Generator) -> None:
        for start in range(0, len(examples), self._recent):  # no slot twice in one of these
            some = examples[start : start + self._recent]
            slots, retired = [], {}
            for _ in range(len(some)):
                slots.append(self._seen % self._recent)
                if (place := self._place_of_retired(generator)) is not None:
                    retired[self._recent + place] = slots[-1]
                self._seen += 1
            self._write(list(retired), self.stored, list(retired.values()))
            self._write(slots, some, slice(None))

    def draw(self, count: int, generator: torch.Generator) -> ReplayBatch:
        """``count`` examples (fewer when there are fewer), half of them recent, distinct."""
        ring, old = min(self._seen, self._recent), min(self._retired, self._reservoir)
        from_old = min(old, count // 2)
        from_ring = min(ring, count - from_old)
        slots = torch.cat(
            [
                torch.randperm(ring, generator=generator)[:from_ring],
                self._recent + torch.randperm(old, generator=generator)[:from_old],
            ]
        )
        return self.stored[slots].as_float()

    def forget(self, user: int) -> int:
        """Remove what is a user's; returns how many slots.

        Each of them becomes a copy of the next one that stays: slots and draws go on as if
        nothing had been taken out, so that a repetition of the log stays exact.
        """
        held = self.held()
        gone = (self.stored.user[held] == user).nonzero().flatten().tolist()
        kept = (self.stored.user[held] != user).nonzero().flatten().tolist()
        if gone and not kept:
            self.stored, self._seen = self._blank(), 0
            return len(gone)
        for at in gone:
            after = next((k for k in kept if k > at), kept[0]) if kept else at
            self._write([int(held[at])], self.stored, [int(held[after])])
        return len(gone)

    def _blank(self) -> ReplayBatch:
        inputs_KCD = self.stored.inputs
        slots, width, inputs = inputs_KCD.shape
        return empty(slots, width, inputs)

    def held(self) -> Tensor:
        """Slots in use."""
        ring, old = min(self._seen, self._recent), min(self._retired, self._reservoir)
        return torch.cat([torch.arange(ring), self._recent + torch.arange(old)])

    def state(self) -> dict[str, Tensor]:
        held = self.held()
        state = {f.name: getattr(self.stored, f.name)[held] for f in fields(ReplayBatch)}
        slots = torch.tensor([self._recent, self._reservoir])
        return state | {"seen": torch.tensor([self._seen]), "held": held, "slots": slots}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Raises KeyError or RuntimeError when the state is of another shape."""
        slots = [self._recent, self._reservoir]
        if "slots" in state and state["slots"].tolist() != slots:
            raise RuntimeError(f"memory of {state['slots'].tolist()} slots, not of {slots}")
        self._seen = int(state["seen"])
        for f in fields(ReplayBatch):
            getattr(self.stored, f.name)[state["held"]] = state[f.name]

    def _place_of_retired(self, generator: torch.Generator) -> int | None:
        """Where in the reservoir the one goes whose slot the next example takes, if anywhere."""
        if self._seen < self._recent:
            return None
        place = retired = self._retired
        if retired >= self._reservoir:
            place = int(torch.randint(retired + 1, (), generator=generator))
        return place if place < self._reservoir else None

    def _write(self, slots: list[int], source: ReplayBatch, which: list[int] | slice) -> None:
        for f in fields(ReplayBatch) if slots else ():
            getattr(self.stored, f.name)[slots] = getattr(source, f.name)[which]


def replay_batch(
    examples: Sequence[RankingExample],
    weights: FloatArray,
    vectors_ND: Tensor,
    catalogue: Catalogue,
    width: int,
    *,
    encode: Reads | None = None,
) -> ReplayBatch:
    """Those that weigh something, each with at most ``width`` candidates. ``encode``: reads
    queries; without it none are."""
    counted = [e for e, weight in zip(examples, weights, strict=True) if weight > 0]
    narrow = [narrowed(example, width) for example in counted]
    batch = example_tensors(narrow, catalogue, width)
    query_BCQ, asked_B = asked_inputs(narrow, batch.rows_BC, vectors_ND, catalogue, encode)
    return ReplayBatch(
        inputs=head_inputs(vectors_ND, batch).half(),
        labels=batch.labels_BC,
        log_q=batch.log_q_BC,
        mask=batch.mask_BC,
        kind=batch.kind_B,
        rows=batch.rows_BC.int(),
        history=batch.history_BH.int(),
        weight=torch.from_numpy(weights[weights > 0]),
        user=torch.tensor([user_hash(example.user_id) for example in counted]),
        query=query_BCQ.half(),
        asked=asked_B,
    )


def narrowed(example: RankingExample, width: int) -> RankingExample:
    """At most ``width`` candidates: accepted ones, then a sample of the others.

    The sample is the example's own: it does not depend on what else is learned.
    """
    if len(example.candidates) <= width:
        return example
    accepted = np.flatnonzero(example.labels_C > 0)[: width // 2]
    others = np.flatnonzero(example.labels_C <= 0)
    rng = np.random.default_rng([example.partition, example.offset, example.index])
    sampled = rng.choice(others, min(width - len(accepted), len(others)), replace=False)
    chosen = np.sort(np.concatenate([accepted, sampled]))
    log_q = example.log_q_C[chosen]
    if example.kind is ExampleKind.NEXT_CLICK:
        kept = np.float32(np.log(len(sampled) / len(others)))
        log_q = np.where(example.labels_C[chosen] > 0, log_q, log_q + kept)
    return replace(
        example,
        candidates=tuple(example.candidates[c] for c in chosen),
        labels_C=example.labels_C[chosen],
        stats_CF=example.stats_CF[chosen],
        log_q_C=log_q,
    )


def move_to(vectors_ND: Tensor, memory: ReplayBatch) -> None:
    """Compute the similarities of a memory anew, in place."""
    for start in range(0, len(memory), 256):
        part = slice(start, start + 256)
        sims = candidate_similarities(
            vectors_ND, memory.history[part].long(), memory.rows[part].long()
        )
        memory.inputs[part, :, len(FEATURES) :] = sims.half()


def restored(state: dict[str, Tensor], row_of_row: np.ndarray) -> dict[str, Tensor]:
    """A memory's tensors as saved, their catalogue rows renumbered; -1 stays.

    Examples of a checkpoint that is older than quotas weigh 1 and are nobody's; of one that is
    older than queries, nothing was asked for.
    """
    renumber = torch.cat([torch.from_numpy(row_of_row).int(), torch.tensor([-1]).int()])
    whole = {k: renumber[v.long()] if k in ("rows", "history") else v for k, v in state.items()}
    if "kind" in state:
        whole.setdefault("weight", torch.ones(len(state["kind"])))
        whole.setdefault("user", torch.zeros(len(state["kind"]), dtype=torch.long))
        nothing = _nothing_asked(*state["labels"].shape)
        whole = nothing | whole
    return whole
