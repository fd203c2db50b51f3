"""The weights being trained, the head's and the adapter's, and everything needed to resume.

Knows when a step is due and what is replayed beside fresh examples. Does not know Kafka,
generations' manifests or the gate.

The head always trains on the item vectors of one encoder version. Text similarities of
replayed examples are computed once and kept, until another version is taken
(``tasks.ranking.model.encoder_rollout``) or the index learns its centre.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from streamrec.core.events import Item
from streamrec.core.examples import FloatArray, user_hash
from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import GenerationRefused
from streamrec.models.data_parallel import Ranks
from streamrec.models.encoder import TextEncoder
from streamrec.models.generation import Generation, with_adapter_of, write_weights
from streamrec.models.item_index import ItemIndex, Vectors
from streamrec.models.state_dicts import named, under
from streamrec.ports import LearnReport, Scorer, ShadowResult
from streamrec.tasks.ranking.examples import RankingExample
from streamrec.tasks.ranking.model import learner_files
from streamrec.tasks.ranking.model.adapter_trainer import AdapterConfig
from streamrec.tasks.ranking.model.encoder_rollout import (
    EncoderRollout,
    NextEncoder,
    RolloutSchedule,
)
from streamrec.tasks.ranking.model.head import INPUTS, Head, inputs_then, widened
from streamrec.tasks.ranking.model.head_trainer import HeadConfig, HeadTrainer
from streamrec.tasks.ranking.model.ranker import Ranker
from streamrec.tasks.ranking.model.replay_buffer import (
    ReplayBatch,
    ReplayMemory,
    move_to,
    replay_batch,
    restored,
)
from streamrec.tasks.ranking.quota import Quota, QuotaRules


@dataclass(frozen=True, slots=True)
class LearnerConfig:
    """TrainerSchedule and memory of learning."""

    step_examples: int = 32  # fresh examples per optimiser step
    replayed: int = 200  # older examples beside them
    recent: int = 2_048  # slots of replay memory
    reservoir: int = 2_048
    candidates: int = 64  # kept of an example: accepted ones first, others sampled
    quota: QuotaRules = QuotaRules()
    head: HeadConfig = HeadConfig()
    adapter: AdapterConfig | None = AdapterConfig()  # None: the encoder is left as it is
    schedule: RolloutSchedule = RolloutSchedule()


class LearnerSnapshot(Ranker):
    """A ranker that can be written as a generation."""

    def __init__(
        self, head: Head, index: Vectors, catalogue: Catalogue, encoder: TextEncoder | None
    ) -> None:
        super().__init__(head, index.dots, catalogue, index.reads)
        self.encoder = encoder
        self.centre_D = _centre_of(index)
        self._index = index

    def score(self, examples: Sequence[RankingExample]) -> list[FloatArray]:
        """As ``Ranker.score``, also of items that came after the snapshot was taken."""
        if isinstance(self._index, ItemIndex) and self.centre_D is not None:
            self._index.ensure(self._catalogue)
            view = self._index.view
            if torch.equal(view.centre, self.centre_D):  # else: learned since, not this head's
                self.dots = view.dots
        return super().score(examples)


class OnlineLearner:
    """A ``ports.Learner``."""

    def __init__(
        self,
        catalogue: Catalogue,
        index: Vectors,
        seed: int,
        config: LearnerConfig | None = None,
        encoder: TextEncoder | None = None,
        *,
        ranks: Ranks | None = None,
    ) -> None:
        """``index`` holds the vectors of ``encoder``; without one only the head learns, and
        no generation can be written."""
        self.index = index
        self._config = config or LearnerConfig()
        self._catalogue = catalogue
        self.encoder = encoder
        self.generator = torch.Generator().manual_seed(seed)
        self._quota = Quota(self._config.quota)
        self.head_trainer = HeadTrainer(self._config.head, self.generator)
        self._ranks = ranks
        self.rollout = self._new_rollout(encoder)
        self.memory = ReplayMemory(
            self._config.recent, self._config.reservoir, self._config.candidates, len(INPUTS)
        )
        self._waiting: ReplayBatch | None = None
        self._centre_D = _centre_of(index)  # of the vectors that memory was made with
        self._shadow_results: list[ShadowResult] = []

    def _new_rollout(self, encoder: TextEncoder | None) -> EncoderRollout | None:
        """None: the encoder stays as it is."""
        config = self._config
        if encoder is None or config.adapter is None or not encoder.trainable_parameters():
            return None
        return EncoderRollout(
            encoder, config.adapter, config.schedule, self._catalogue, self._ranks
        )

    def close(self) -> None:
        """End what is still going on aside. The learner must not be used afterwards."""
        if self.rollout is not None:
            self.rollout.close()

    def indexes(self) -> list[ItemIndex]:
        """The index that the head trains on, for others to share."""
        return [self.index] if isinstance(self.index, ItemIndex) else []

    # -- learning ---------------------------------------------------------------------

    def learn(self, examples: Sequence[RankingExample]) -> LearnReport:
        """Take the steps that these examples are due, replaying older ones beside them.

        An example whose source has used up its quota is not learned, and not replayed later.
        """
        losses: list[dict[str, float]] = []
        weights = self._quota.weigh(examples)
        if weights.any():
            self._follow_catalogue()
            arrived = replay_batch(
                examples,
                weights,
                self.index.vectors,
                self._catalogue,
                self._config.candidates,
                encode=self.index.reads,
            )
            waiting = arrived if self._waiting is None else self._waiting.joined(arrived)
            size = self._config.step_examples
            self._waiting = waiting
            while len(self._waiting) >= size:
                fresh, self._waiting = self._waiting[:size], self._waiting[size:]
                losses.append(self.step(fresh))
        encoder_steps = sum("encoder" in at for at in losses)
        names = sorted({name for at in losses for name in at})
        means = {n: float(np.mean([at[n] for at in losses if n in at])) for n in names}
        limited = int((weights < 1).sum())
        shadow_results, self._shadow_results = self._shadow_results, []
        return LearnReport(
            len(examples), len(losses), encoder_steps, means, limited, tuple(shadow_results)
        )

    def forget(self, user_id: str) -> int:
        """Remove a user's examples from what is replayed and what waits for a step; how many.

        What weights and moments have become by them stays: only relearning takes that back.
        """
        user = user_hash(user_id)
        waiting = 0
        if self._waiting is not None:
            others = self._waiting.user != user
            waiting = int((~others).sum())
            self._waiting = self._waiting[others]
        return waiting + self.memory.forget(user)

    def step(self, fresh: ReplayBatch) -> dict[str, float]:
        replayed = self.memory.draw(self._config.replayed, self.generator)
        if self.rollout is not None:
            self.rollout.compare(fresh, replayed, self.head_trainer.averaged)
        self.head_trainer.observe(fresh)
        losses = self.head_trainer.step(fresh.as_float().joined(replayed))
        self.memory.add(fresh, self.generator)
        if self.rollout is None or not isinstance(self.index, ItemIndex):
            return losses
        loss = self.rollout.step(fresh, replayed, self.index.centre)
        self._roll_out(self.rollout)
        return losses if loss is None else losses | {"encoder": loss}

    def _roll_out(self, rollout: EncoderRollout) -> None:
        """Take the encoder version whose time has come, if one's has."""
        result, won = rollout.end_evaluation()
        if result is not None:
            self._shadow_results.append(result)
        next_encoder = won or rollout.begin_evaluation(self.head_trainer)
        if next_encoder is not None:
            self.take(next_encoder)

    def take(self, next_encoder: NextEncoder) -> None:
        self.index, self.encoder = next_encoder.index, next_encoder.encoder
        self.head_trainer = next_encoder.head_trainer or self.head_trainer
        self._refresh_similarities()

    def _follow_catalogue(self) -> None:
        """New items get vectors. When that settles the centre, all vectors have changed."""
        self.index.ensure(self._catalogue)
        if _centre_of(self.index) is not self._centre_D:
            self._refresh_similarities()

    def _refresh_similarities(self) -> None:
        self._centre_D = _centre_of(self.index)
        for memory in (self.memory.stored, self._waiting):
            if memory is not None:
                move_to(self.index.vectors, memory)

    def _items(self, rows: Sequence[int]) -> list[Item]:
        return [self._catalogue.item(row) for row in rows]

    # -- releasing --------------------------------------------------------------------

    def snapshot(self) -> LearnerSnapshot:
        """An immutable copy of the averaged weights, over the current index."""
        self._follow_catalogue()
        return LearnerSnapshot(
            self.head_trainer.frozen_head(), self.index, self._catalogue, self.encoder
        )

    def write_generation(self, scorer: Scorer, directory: Path) -> None:
        """Write the snapshot's weight files (adapter, head) in the generation layout.

        Raises:
            TypeError: ``scorer`` is not a snapshot of a learner that has an encoder.
        """
        if (
            not isinstance(scorer, LearnerSnapshot)
            or scorer.encoder is None
            or scorer.centre_D is None
        ):
            raise TypeError("only the snapshot of a learner with an encoder can be written")
        write_weights(directory, scorer.encoder, scorer.head.state_dict(), scorer.centre_D)

    def start_from(self, read: Generation) -> None:
        """Go on from a generation's weights; optimisers and replay memory begin anew.

        Raises GenerationRefused, having changed nothing, when it does not fit.
        """
        if self.encoder is None:
            raise GenerationRefused("a learner without an encoder cannot start from a generation")
        encoder = with_adapter_of(read, self.encoder)
        self.start_from_head(read)
        self.encoder, self.index = encoder, ItemIndex(encoder, read.centre)
        self.close()
        self.rollout = self._new_rollout(encoder)

    def start_from_head(self, read: Generation) -> None:
        """The same of the head alone, where the encoder is another. Raises GenerationRefused."""
        try:
            self.head_trainer.start_from(widened(read.head, inputs_then(read.manifest)))
        except RuntimeError as error:
            raise GenerationRefused(f"{read.manifest.generation}: {error}") from error

    # -- resuming ---------------------------------------------------------------------

    def save(self, directory: Path) -> None:
        """Everything a resume needs: weights, optimisers, random state, replay memory.

        Rows are those of our catalogue, which another process may number otherwise: the
        items by row go with them.
        """
        state = named("fast", self.head_trainer.state())
        state |= named("memory", self.memory.state())
        state |= {f"quota.{k}": torch.from_numpy(v) for k, v in self._quota.state().items()}
        if self._waiting is not None:
            state |= {f"waiting.{f.name}": getattr(self._waiting, f.name) for f in _FIELDS}
        if self.rollout is not None and self.encoder is not None:
            state |= self.rollout.state()
            state |= named("served", self.encoder.adapter_state())
        if isinstance(self.index, ItemIndex) and self.index.settled:
            state["centre"] = self.index.centre
        state["random"] = self.generator.get_state()
        learner_files.write(directory, state, self._catalogue)

    def load(self, directory: Path) -> list[Item]:
        """Resume from ``save``. Raises GenerationRefused when a file is missing or wrong.

        Returns the items that are new or have changed since, in the order of their rows. A
        refused load leaves a learner that must not be used.
        """
        if learner_files.read_inputs(directory) != INPUTS:
            raise GenerationRefused("the checkpoint's inputs are not those of this version")
        return self._loaded(directory, self._load)

    def carry_over(self, directory: Path) -> list[Item]:
        """What fits of a ``save`` with another encoder, or of other inputs; returns as ``load``.

        Head, replay memory, quotas and random state. The encoder stays as it is here: similarities
        are computed anew. Of other inputs the head's weights are taken, by name, and its optimiser
        begins anew. Raises GenerationRefused.
        """
        names = learner_files.read_inputs(directory)

        def load(state: Mapping[str, Tensor], row_of_row: np.ndarray) -> None:
            fitting = dict(state) if names == INPUTS else learner_files.on_inputs(state, names)
            self._load_head(fitting, row_of_row)
            self._follow_catalogue()
            self._refresh_similarities()
            self.generator.set_state(state["random"])

        return self._loaded(directory, load)

    def _loaded(
        self, directory: Path, load: Callable[[Mapping[str, Tensor], np.ndarray], None]
    ) -> list[Item]:
        state = learner_files.read_state(directory)
        saved = self.restore_items(directory)
        try:
            load(state, self._catalogue.rows([item.item_id for item in saved]))
        except (KeyError, ValueError, RuntimeError) as error:
            raise learner_files.unusable(directory, error) from error
        before = {item.item_id: item for item in saved}
        now = self._items(range(len(self._catalogue)))
        return [item for item in now if before.get(item.item_id) != item]

    def restore_items(self, directory: Path) -> list[Item]:
        """Know at least the items that were known at ``save``; what they were then.

        Before anything else is known, they get the rows they had: the order of rows is part
        of what makes a repetition exact (docs/adr/0090). Raises GenerationRefused.
        """
        saved = learner_files.read_items(directory)
        self._catalogue.put(i for i in saved if self._catalogue.row(i.item_id) is None)
        return saved

    def add_items(self, items: Sequence[Item]) -> list[Item]:
        """Take in items, with their vectors; those that are new or have changed."""
        version = self._catalogue.version
        self._catalogue.put(items)
        if version == self._catalogue.version:
            return []
        self._follow_catalogue()
        return self._items(self._catalogue.changed_since(version))

    def _load_head(self, state: Mapping[str, Tensor], row_of_row: np.ndarray) -> None:
        """All but the encoder."""
        fast = under("fast", state)
        if "steps" in fast:
            self.head_trainer.load_state(fast)
        else:  # of other inputs
            self.head_trainer.start_from(under("averaged", fast))
        self.memory.load_state(restored(under("memory", state), row_of_row))
        self._quota.load_state({k: v.numpy() for k, v in under("quota", state).items()})
        waiting = restored(under("waiting", state), row_of_row)
        self._waiting = ReplayBatch(**waiting) if waiting else None

    def _load(self, state: Mapping[str, Tensor], row_of_row: np.ndarray) -> None:
        self._load_head(state, row_of_row)
        if self.rollout is not None and self.encoder is not None:
            self.encoder = self.encoder.with_adapter(under("served", state))
            self.index = ItemIndex(self.encoder, state.get("centre"))
            self._centre_D = self.index.centre
            self.rollout.load_state(state, self.encoder, self.head_trainer)
        self.generator.set_state(state["random"])


_FIELDS = fields(ReplayBatch)


def _centre_of(index: Vectors) -> Tensor | None:
    return index.centre if isinstance(index, ItemIndex) else None
