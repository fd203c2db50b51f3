"""One encoder version after another: trained aside, indexed aside, tried, then taken or not.

Knows the slow lane and the one version on its way. Does not know replay memory, nor what else
must follow when a version is taken.

The way of a version, in order:

1. when the slow lane is due, a copy of the weights in training becomes a new version, and a
   thread begins to encode the catalogue with it (``tasks.ranking.model.publication``);
2. ``flip_steps`` steps later, whenever the thread is done, it challenges the version in use
   (``tasks.ranking.model.shadow_evaluation``);
3. ``challenge_steps`` steps of the head later it is taken, with the head that has learned on its
   vectors, or dropped. The slow lane goes on from its own weights either way.

All this ends before the next version comes. Without steps for a challenge a version is taken at
2, and the head in use goes on with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from streamrec.core.events import Item
from streamrec.core.state.catalogue import Catalogue
from streamrec.models.data_parallel import Ranks
from streamrec.models.encoder import TextEncoder
from streamrec.models.item_index import ItemIndex
from streamrec.models.state_dicts import named, under
from streamrec.ports import ShadowResult
from streamrec.tasks.ranking.model.adapter_trainer import AdapterRecipe, AdapterTrainer
from streamrec.tasks.ranking.model.head import Head
from streamrec.tasks.ranking.model.head_trainer import HeadTrainer
from streamrec.tasks.ranking.model.publication import Publication
from streamrec.tasks.ranking.model.replay_buffer import ReplayBatch
from streamrec.tasks.ranking.model.shadow_evaluation import ShadowEvaluation


@dataclass(frozen=True, slots=True)
class RolloutSchedule:
    """Of a version, from its publication on."""

    flip_steps: int = 32  # of the slow lane, until its index is asked for
    challenge_steps: int = 80  # of the head, until it is taken or dropped; 0: taken untried


@dataclass(frozen=True, slots=True, eq=False)
class NextEncoder:
    """A version to be taken. ``fast``: the head for it; None: the one in use."""

    encoder: TextEncoder
    index: ItemIndex
    fast: HeadTrainer | None = None


class EncoderRollout:
    """Versions of one encoder, over one catalogue."""

    def __init__(
        self,
        encoder: TextEncoder,
        recipe: AdapterRecipe,
        schedule: RolloutSchedule,
        catalogue: Catalogue,
        ranks: Ranks | None = None,
    ) -> None:
        self.lane = AdapterTrainer(encoder, recipe, ranks)
        self._timetable = schedule
        self._catalogue = catalogue
        self._coming: Publication | None = None
        self._challenge: ShadowEvaluation | None = None

    def close(self) -> None:
        """End what is going on aside."""
        if self._coming is not None:
            self._coming.abandon()

    def compare(self, fresh: ReplayBatch, replayed: ReplayBatch, in_use: Head) -> None:
        """Let a challenger see a step's examples, before ``in_use`` learns them."""
        if self._challenge is not None:
            self._challenge.index.ensure(self._catalogue)
            self._challenge.step(fresh, replayed, in_use)

    def end_challenge(self) -> tuple[ShadowResult | None, NextEncoder | None]:
        """End a challenge that is over: its verdict, and the version to be taken, if it won."""
        challenge = self._challenge
        if challenge is None or not challenge.over:
            return None, None
        self._challenge = None
        verdict = challenge.verdict
        if not verdict.taken:
            return verdict, None
        return verdict, NextEncoder(challenge.encoder, challenge.index, challenge.fast)

    def step(self, fresh: ReplayBatch, replayed: ReplayBatch, centre_D: Tensor) -> float | None:
        """One step of the slow lane; its loss, or None when no example can teach anything."""
        loss = self.lane.step(fresh.as_float(), replayed, self._items, centre_D)
        if loss is not None and self.lane.due:
            wait = min(self._timetable.flip_steps, self.lane.until_due - 1)
            asked_for = self.lane.steps + wait
            self._coming = Publication(self.lane.published(), self._catalogue, asked_for)
        return loss

    def begin_challenge(self, fast: HeadTrainer) -> NextEncoder | None:
        """Let the version on its way, once it is time, challenge ``fast``, the lane in use.

        Returns the version when there are no steps for a challenge: it is to be taken untried.
        """
        coming = self._coming
        if coming is None or self.lane.steps < coming.flip_step:
            return None
        self._coming = None
        index = coming.index()
        index.ensure(self._catalogue)
        steps = min(self._timetable.challenge_steps, self.lane.until_due - 1)
        if not steps:
            return NextEncoder(coming.encoder, index)
        self._challenge = ShadowEvaluation(coming.encoder, index, fast.copied(), steps)
        return None

    def _items(self, rows: Sequence[int]) -> list[Item]:
        return [self._catalogue.item(row) for row in rows]

    # -- resuming ---------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """Everything a resume needs, flat and named."""
        state = named("slow", self.lane.state())
        if self._coming is not None:
            state |= named("coming", self._coming.encoder.adapter_state())
            state["flip_step"] = torch.tensor([self._coming.flip_step])
        if self._challenge is not None:
            state |= named("challenger", self._challenge.encoder.adapter_state())
            state |= named("challenge", self._challenge.state())
            if self._challenge.index.settled:
                state["challenger_centre"] = self._challenge.index.centre
        return state

    def load_state(
        self, state: Mapping[str, Tensor], encoder: TextEncoder, fast: HeadTrainer
    ) -> None:
        """Go on from ``state``, with the encoder and the fast lane in use.

        Raises KeyError, RuntimeError or GenerationRefused when the state does not fit.
        """
        self.close()
        self._coming = self._challenge = None
        self.lane.load_state(under("slow", state))
        if coming := under("coming", state):
            asked_for = int(state["flip_step"])
            self._coming = Publication(encoder.with_adapter(coming), self._catalogue, asked_for)
        if challenger := under("challenger", state):
            version = encoder.with_adapter(challenger)
            index = ItemIndex(version, state.get("challenger_centre"))
            self._challenge = ShadowEvaluation.resumed(
                version, index, fast.copied(), under("challenge", state)
            )
