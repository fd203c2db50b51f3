"""One encoder version after another: trained aside, indexed aside, evaluated, then taken or not.

The way of a version, in order:

1. when the adapter trainer is due, a copy of the weights in training becomes a new version, and
   a thread begins to encode the catalogue with it (``Publication``);
2. ``flip_steps`` steps later, whenever the thread is done, its shadow evaluation beside the
   version in use begins (``ShadowEvaluation``);
3. ``shadow_steps`` steps of the head later it is taken, with the head that has learned on its
   vectors, or dropped. The adapter trainer goes on from its own weights either way.

All this ends before the next version comes. Without steps for an evaluation a version is taken
at 2, and the head in use goes on with it.

Legend: B examples, C candidates, F statistics, S similarities, D = F + S inputs.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from streamrec.core.events import Item
from streamrec.core.state.catalogue import Catalogue
from streamrec.models.data_parallel import Ranks
from streamrec.models.encoder import TextEncoder
from streamrec.models.item_index import ItemIndex, RowsThen
from streamrec.models.state_dicts import named, under
from streamrec.ports import ShadowResult
from streamrec.tasks.ranking.features import FEATURES
from streamrec.tasks.ranking.model.adapter_trainer import AdapterConfig, AdapterTrainer
from streamrec.tasks.ranking.model.head import Head
from streamrec.tasks.ranking.model.head_trainer import HeadTrainer, listwise_losses
from streamrec.tasks.ranking.model.replay_buffer import ReplayBatch
from streamrec.tasks.ranking.model.similarity import candidate_similarities

USED_TO = 1 / 3
"""Part of a shadow evaluation in which nothing is compared."""


@dataclass(frozen=True, slots=True)
class RolloutSchedule:
    """Of a version, from its publication on."""

    flip_steps: int = 32  # of the adapter trainer, until its index is asked for
    shadow_steps: int = 80  # of the head, until it is taken or dropped; 0: taken untried


@dataclass(frozen=True, slots=True, eq=False)
class NextEncoder:
    """A version to be taken. ``head_trainer``: for it; None: the one in use."""

    encoder: TextEncoder
    index: ItemIndex
    head_trainer: HeadTrainer | None = None


class EncoderRollout:
    """Versions of one encoder, over one catalogue."""

    def __init__(
        self,
        encoder: TextEncoder,
        config: AdapterConfig,
        schedule: RolloutSchedule,
        catalogue: Catalogue,
        ranks: Ranks | None = None,
    ) -> None:
        self.adapter_trainer = AdapterTrainer(encoder, config, ranks)
        self._schedule = schedule
        self._catalogue = catalogue
        self.publication: Publication | None = None
        self.evaluation: ShadowEvaluation | None = None

    def close(self) -> None:
        """End what is going on aside."""
        if self.publication is not None:
            self.publication.abandon()

    def compare(self, fresh: ReplayBatch, replayed: ReplayBatch, in_use: Head) -> None:
        """Let a new version see a step's examples, before ``in_use`` learns them."""
        if (evaluation := self.evaluation) is not None:
            evaluation.index.ensure(self._catalogue)
            evaluation.step(fresh, replayed, in_use)

    def end_evaluation(self) -> tuple[ShadowResult | None, NextEncoder | None]:
        """End one that is over: its result, and the version to be taken, if it won."""
        evaluation = self.evaluation
        if evaluation is None or not evaluation.over:
            return None, None
        self.evaluation = None
        result = evaluation.result
        if not result.taken:
            return result, None
        return result, NextEncoder(evaluation.encoder, evaluation.index, evaluation.head_trainer)

    def step(self, fresh: ReplayBatch, replayed: ReplayBatch, centre_D: Tensor) -> float | None:
        """One step of the adapter; its loss, or None when no example can teach anything."""
        trainer = self.adapter_trainer
        loss = trainer.step(fresh.as_float(), replayed, self._items, centre_D)
        if loss is not None and trainer.due:
            wait = min(self._schedule.flip_steps, trainer.until_due - 1)
            flip_step = trainer.steps + wait
            self.publication = Publication(trainer.published(), self._catalogue, flip_step)
        return loss

    def begin_evaluation(self, in_use: HeadTrainer) -> NextEncoder | None:
        """Evaluate the version on its way, once it is time, beside what is ``in_use``.

        Returns the version when there are no steps for an evaluation: it is to be taken untried.
        """
        coming, trainer = self.publication, self.adapter_trainer
        if coming is None or trainer.steps < coming.flip_step:
            return None
        self.publication = None
        index = coming.index()
        index.ensure(self._catalogue)
        steps = min(self._schedule.shadow_steps, trainer.until_due - 1)
        if not steps:
            return NextEncoder(coming.encoder, index)
        self.evaluation = ShadowEvaluation(coming.encoder, index, in_use.copied(), steps)
        return None

    def _items(self, rows: Sequence[int]) -> list[Item]:
        return [self._catalogue.item(row) for row in rows]

    # -- resuming ---------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """Everything a resume needs, flat and named."""
        state = named("slow", self.adapter_trainer.state())
        if (coming := self.publication) is not None:
            state |= named("coming", coming.encoder.adapter_state())
            state["flip_step"] = torch.tensor([coming.flip_step])
        if (evaluation := self.evaluation) is not None:
            state |= named("challenger", evaluation.encoder.adapter_state())
            state |= named("challenge", evaluation.state())
            if evaluation.index.settled:
                state["challenger_centre"] = evaluation.index.centre
        return state

    def load_state(
        self, state: Mapping[str, Tensor], encoder: TextEncoder, in_use: HeadTrainer
    ) -> None:
        """Go on from ``state``, with the encoder and the head trainer in use.

        Raises KeyError, RuntimeError or GenerationRefused when the state does not fit.
        """
        self.close()
        self.publication = self.evaluation = None
        self.adapter_trainer.load_state(under("slow", state))
        if coming := under("coming", state):
            version, flip_step = encoder.with_adapter(coming), int(state["flip_step"])
            self.publication = Publication(version, self._catalogue, flip_step)
        if evaluated := under("challenger", state):
            version = encoder.with_adapter(evaluated)
            index = ItemIndex(version, state.get("challenger_centre"))
            self.evaluation = ShadowEvaluation.resumed(
                version, index, in_use.copied(), under("challenge", state)
            )


class Publication:
    """An encoder version on its way: its index is built in a thread while learning goes on.

    The step at which the index is asked for is fixed beforehand, not when the building happens
    to end: what the learner knows stays a function of the batches it was given, whatever the
    machine was doing (docs/adr/0048).
    """

    def __init__(self, encoder: TextEncoder, catalogue: Catalogue, flip_step: int) -> None:
        """``encoder`` must not change any more; the catalogue is read as it is now."""
        self.encoder = encoder
        self.flip_step = flip_step  # of the adapter trainer
        self._index = ItemIndex(encoder)
        self._stop = threading.Event()
        with_thread = ThreadPoolExecutor(1, thread_name_prefix="index")
        self._built = with_thread.submit(self._index.ensure, RowsThen(catalogue), self._stop)
        with_thread.shutdown(wait=False)  # no further work; this one goes on

    def index(self) -> ItemIndex:
        """The finished index; waits for it.

        Raises:
            GenerationRefused: the encoder gives values that are not finite.
        """
        self._built.result()
        return self._index

    def abandon(self) -> None:
        """Nobody will ask for the index: its thread ends soon."""
        self._stop.set()


class ShadowEvaluation:
    """A new encoder version beside the one in use: each has a head, both see the same examples.

    The new head begins as a copy of the one in use and learns the same steps, on the new
    vectors. After the first third, in which it gets used to them, both are compared on examples
    that neither has learned, one by one. The new version wins when its mean loss is smaller by
    more than the error of that: to serve it, every worker has to encode the catalogue anew.
    """

    def __init__(
        self, encoder: TextEncoder, index: ItemIndex, head_trainer: HeadTrainer, steps: int
    ) -> None:
        """``head_trainer``: a copy of the one in use, to learn on the vectors of ``index``;
        ``steps``: from the first to the result."""
        self.encoder, self.index, self.head_trainer = encoder, index, head_trainer
        self._steps = steps
        self._taken = 0
        self.sums = torch.zeros(3, dtype=torch.float64)  # weight, gain, gain²

    @property
    def over(self) -> bool:
        return self._taken >= self._steps

    @property
    def result(self) -> ShadowResult:
        """As it stands. The error takes examples as independent."""
        weight, gains, squares = self.sums.tolist()
        count = max(1.0, weight)
        gain = gains / count
        error = math.sqrt(max(0.0, squares / count - gain**2) / count)
        return ShadowResult(self.index.encoder_version, gain, error, gain > error)

    def step(self, fresh: ReplayBatch, replayed: ReplayBatch, in_use: Head) -> None:
        """Compare on ``fresh``, which neither head has learned; then learn both."""
        ours = self._through_new_vectors(fresh)
        if self._taken >= self._steps * USED_TO:
            self.compare(fresh, ours, in_use)
        self.head_trainer.observe(ours)
        self.head_trainer.step(ours.as_float().joined(self._through_new_vectors(replayed)))
        self._taken += 1

    def _through_new_vectors(self, batch: ReplayBatch) -> ReplayBatch:
        """The same examples, their similarities by the new index."""
        sims_BCS = candidate_similarities(
            self.index.vectors, batch.history.long(), batch.rows.long()
        )
        stats_BCF = batch.inputs[..., : len(FEATURES)]
        inputs_BCD = torch.cat([stats_BCF, sims_BCS.to(stats_BCF.dtype)], -1)
        return replace(batch, inputs=inputs_BCD)

    @torch.no_grad()
    def compare(self, theirs: ReplayBatch, ours: ReplayBatch, in_use: Head) -> None:
        loss_B, weight_B = listwise_losses(_scores(in_use, theirs), theirs)
        our_loss_B, _ = listwise_losses(_scores(self.head_trainer.averaged, ours), ours)
        gain_B = loss_B - our_loss_B
        self.sums += torch.stack(
            [weight_B.sum(), (weight_B * gain_B).sum(), (weight_B * gain_B**2).sum()]
        ).double()

    def state(self) -> dict[str, Tensor]:
        """Everything a resume needs, the encoder and its index aside."""
        state = named("fast", self.head_trainer.state())
        return state | {"sums": self.sums, "steps": torch.tensor([self._taken, self._steps])}

    @staticmethod
    def resumed(
        encoder: TextEncoder,
        index: ItemIndex,
        head_trainer: HeadTrainer,
        state: Mapping[str, Tensor],
    ) -> ShadowEvaluation:
        """Go on from ``state``; ``head_trainer`` is any of the same config, and is taken over.

        Raises KeyError or RuntimeError when the state is of another shape.
        """
        taken, steps = state["steps"].tolist()
        evaluation = ShadowEvaluation(encoder, index, head_trainer, steps)
        head_trainer.load_state(under("fast", state))
        evaluation._taken, evaluation.sums = taken, state["sums"].clone()
        return evaluation


def _scores(head: Head, batch: ReplayBatch) -> Tensor:
    return head.asked(batch.inputs.float(), batch.query.float(), batch.asked)
