"""The weights being trained, both lanes, and everything needed to resume.

Knows when a step is due, what is replayed beside fresh examples, and how examples become
the head's inputs. Does not know Kafka, generations' manifests or the gate.

The head always trains on the item vectors of one encoder version. Text similarities of
remembered examples are computed once and kept. When the slow lane publishes, in order:

1. a copy of its adapter becomes a new encoder version;
2. it encodes the catalogue, aside (``model.learning.publication``), while both lanes go on;
3. a fixed number of steps later the index is flipped: similarities of everything remembered
   are computed anew, and the head goes on, on the new vectors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from streamrec.core.events import Item
from streamrec.core.examples import Example, ExampleKind, FloatArray, user_hash
from streamrec.core.state.catalogue import Catalogue, item_from_record, item_record
from streamrec.core.state.features import FEATURE_SET, FEATURES
from streamrec.core.training.quota import Quota, QuotaRules
from streamrec.errors import GenerationRefused
from streamrec.model.encoders.encoder import TextEncoder
from streamrec.model.encoders.index import ItemIndex
from streamrec.model.generations.generation import Generation, write_weights
from streamrec.model.learning.fast_lane import FastLane, FastRecipe
from streamrec.model.learning.followers import Followers
from streamrec.model.learning.publication import Publication
from streamrec.model.learning.replay_memory import Remembered, ReplayMemory
from streamrec.model.learning.slow_lane import SlowLane, SlowRecipe
from streamrec.model.scoring.dot_rows import DotRows
from streamrec.model.scoring.head import INPUTS, Head
from streamrec.model.scoring.ranker import Ranker, head_inputs
from streamrec.model.scoring.similarity import candidate_similarities
from streamrec.model.scoring.tensors import example_tensors
from streamrec.ports import LearnReport, Scorer

STATE_FILE = "learner.safetensors"
CATALOGUE_FILE = "learner.json"


class Vectors(Protocol):
    """What learning the head alone needs of ``model.encoders.index.ItemIndex``."""

    @property
    def vectors(self) -> Tensor: ...

    def ensure(self, catalogue: Catalogue) -> int: ...


@dataclass(frozen=True, slots=True)
class Recipe:
    """Rhythm and memory of learning."""

    step_examples: int = 32  # fresh examples per optimiser step
    replayed: int = 200  # older examples beside them
    recent: int = 2_048  # slots of replay memory
    reservoir: int = 2_048
    candidates: int = 64  # kept of an example: accepted ones first, others sampled
    quota: QuotaRules = QuotaRules()
    fast: FastRecipe = FastRecipe()
    slow: SlowRecipe | None = SlowRecipe()  # None: the encoder is left as it is
    flip_steps: int = 32  # of the slow lane, from a publication to its index in use


class Snapshot(Ranker):
    """A ranker that can be written as a generation."""

    def __init__(
        self, head: Head, index: Vectors, catalogue: Catalogue, encoder: TextEncoder | None
    ) -> None:
        dots = index.dots if isinstance(index, ItemIndex) else DotRows(index.vectors)
        super().__init__(head, dots, catalogue)
        self.encoder = encoder
        self.centre_D = _centre_of(index)
        self._index = index

    def score(self, examples: Sequence[Example]) -> list[FloatArray]:
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
        recipe: Recipe | None = None,
        encoder: TextEncoder | None = None,
        *,
        followers: Followers | None = None,
    ) -> None:
        """``index`` holds the vectors of ``encoder``; without one only the head learns, and
        no generation can be written."""
        self.index = index
        self._recipe = recipe or Recipe()
        self._catalogue = catalogue
        self._encoder = encoder
        self._generator = torch.Generator().manual_seed(seed)
        self._quota = Quota(self._recipe.quota)
        self._fast = FastLane(self._recipe.fast, self._generator)
        self._slow: SlowLane | None = None
        if encoder is not None and self._recipe.slow and encoder.trainable_parameters():
            self._slow = SlowLane(encoder, self._recipe.slow, followers)
        self._followers = followers
        self._memory = ReplayMemory(
            self._recipe.recent, self._recipe.reservoir, self._recipe.candidates, len(INPUTS)
        )
        self._waiting: Remembered | None = None
        self._centre_D = _centre_of(index)  # of the vectors that memory was made with
        self._coming: Publication | None = None

    def close(self) -> None:
        """End what is still going on aside. The learner must not be used afterwards."""
        if self._coming is not None:
            self._coming.abandon()

    def indexes(self) -> list[ItemIndex]:
        """The index that the head trains on, for others to share."""
        return [self.index] if isinstance(self.index, ItemIndex) else []

    # -- learning ---------------------------------------------------------------------

    def learn(self, examples: Sequence[Example]) -> LearnReport:
        """Take the steps that these examples are due, replaying older ones beside them.

        An example whose source has used up its quota is not learned, and not remembered.
        """
        losses: list[dict[str, float]] = []
        weights = self._quota.weigh(examples)
        if weights.any():
            self._follow_catalogue()
            arrived = self._remembered(examples, weights)
            waiting = arrived if self._waiting is None else self._waiting.joined(arrived)
            size = self._recipe.step_examples
            self._waiting = waiting
            while len(self._waiting) >= size:
                fresh, self._waiting = self._waiting[:size], self._waiting[size:]
                losses.append(self._step(fresh))
        slow = [at for at in losses if "encoder" in at]
        names = sorted({name for at in losses for name in at})
        means = {n: float(np.mean([at[n] for at in losses if n in at])) for n in names}
        return LearnReport(len(examples), len(losses), len(slow), means, int((weights < 1).sum()))

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
        return waiting + self._memory.forget(user)

    def _step(self, fresh: Remembered) -> dict[str, float]:
        self._fast.observe(fresh)
        replayed = self._memory.draw(self._recipe.replayed, self._generator)
        losses = self._fast.step(fresh.as_float().joined(replayed))
        self._memory.add(fresh, self._generator)
        loss = self._slow_step(fresh, replayed)
        return losses if loss is None else losses | {"encoder": loss}

    def _slow_step(self, fresh: Remembered, replayed: Remembered) -> float | None:
        if self._slow is None or not isinstance(self.index, ItemIndex):
            return None
        loss = self._slow.step(fresh.as_float(), replayed, self._items, self.index.centre)
        if loss is None:
            return None
        steps, rhythm = self._slow.steps, self._slow.publish_steps
        if self._slow.due:
            flip_step = steps + min(self._recipe.flip_steps, rhythm - 1)
            self._coming = Publication(self._slow.published(), self._catalogue, flip_step)
        if self._coming is not None and steps >= self._coming.flip_step:
            self._flip(self._coming.index(), self._coming.encoder)
            self._coming = None
        return loss

    def _flip(self, index: ItemIndex, encoder: TextEncoder) -> None:
        """Step 3 of the module's docstring."""
        index.ensure(self._catalogue)
        self.index, self._encoder = index, encoder
        self._refresh_similarities()

    def _follow_catalogue(self) -> None:
        """New items get vectors. When that settles the centre, all vectors have changed."""
        self.index.ensure(self._catalogue)
        if _centre_of(self.index) is not self._centre_D:
            self._refresh_similarities()

    def _refresh_similarities(self) -> None:
        self._centre_D = _centre_of(self.index)
        for memory in (self._memory.stored, self._waiting):
            if memory is not None:
                _refresh_similarities(memory, self.index.vectors)

    def _items(self, rows: Sequence[int]) -> list[Item]:
        return [self._catalogue.item(row) for row in rows]

    def _remembered(self, examples: Sequence[Example], weights: FloatArray) -> Remembered:
        """Those that weigh something."""
        counted = [e for e, weight in zip(examples, weights, strict=True) if weight > 0]
        narrowed = [_narrowed(example, self._recipe.candidates) for example in counted]
        batch = example_tensors(narrowed, self._catalogue, self._recipe.candidates)
        return Remembered(
            inputs=head_inputs(self.index.vectors, batch).half(),
            labels=batch.labels_BC,
            log_q=batch.log_q_BC,
            mask=batch.mask_BC,
            kind=batch.kind_B,
            rows=batch.rows_BC.int(),
            history=batch.history_BH.int(),
            weight=torch.from_numpy(weights[weights > 0]),
            user=torch.tensor([user_hash(example.user_id) for example in counted]),
        )

    # -- releasing --------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """An immutable copy of the averaged weights, over the current index."""
        self._follow_catalogue()
        return Snapshot(self._fast.frozen_head(), self.index, self._catalogue, self._encoder)

    def write_generation(self, scorer: Scorer, directory: Path) -> None:
        """Write the snapshot's weight files (adapter, head) in the generation layout.

        Raises:
            TypeError: ``scorer`` is not a snapshot of a learner that has an encoder.
        """
        if not isinstance(scorer, Snapshot) or scorer.encoder is None or scorer.centre_D is None:
            raise TypeError("only the snapshot of a learner with an encoder can be written")
        write_weights(directory, scorer.encoder, scorer.head.state_dict(), scorer.centre_D)

    def start_from(self, read: Generation) -> None:
        """Go on from a generation's weights; optimisers and replay memory begin anew.

        Raises GenerationRefused, having changed nothing, when it does not fit.
        """
        if self._encoder is None:
            raise GenerationRefused("a learner without an encoder cannot start from a generation")
        encoder = self._encoder.with_adapter(read.adapter)
        made_for = read.manifest.encoder_version
        if encoder.encoder_version != made_for:
            raise GenerationRefused(
                f"{read.manifest.generation} was made for encoder version {made_for}; our settings "
                f"make {encoder.encoder_version}: STREAMREC_ENCODER_* must be what they were"
            )
        try:
            self._fast.start_from(read.head)
        except RuntimeError as error:
            raise GenerationRefused(f"{read.manifest.generation}: {error}") from error
        self._encoder, self.index = encoder, ItemIndex(encoder, read.centre)
        if self._slow is not None and self._recipe.slow is not None:
            self._slow = SlowLane(encoder, self._recipe.slow, self._followers)

    # -- resuming ---------------------------------------------------------------------

    def save(self, directory: Path) -> None:
        """Everything a resume needs: weights, optimisers, random state, replay memory.

        Rows are those of our catalogue, which another process may number otherwise: the
        items by row go with them.
        """
        state = {f"fast.{k}": v for k, v in self._fast.state().items()}
        state |= {f"memory.{k}": v for k, v in self._memory.state().items()}
        state |= {f"quota.{k}": torch.from_numpy(v) for k, v in self._quota.state().items()}
        if self._waiting is not None:
            state |= {f"waiting.{f.name}": getattr(self._waiting, f.name) for f in _FIELDS}
        if self._slow is not None and self._encoder is not None:
            state |= {f"slow.{k}": v for k, v in self._slow.state().items()}
            served = self._encoder.adapter_state()
            state |= {f"served.{k}": v for k, v in served.items()}
        if self._coming is not None:
            coming = self._coming.encoder.adapter_state()
            state |= {f"coming.{k}": v for k, v in coming.items()}
            state["flip_step"] = torch.tensor([self._coming.flip_step])
        if isinstance(self.index, ItemIndex) and self.index.settled:
            state["centre"] = self.index.centre
        state["random"] = self._generator.get_state()
        tensors = {name: tensor.contiguous().clone() for name, tensor in state.items()}
        safetensors.torch.save_file(tensors, str(directory / STATE_FILE))
        items = [item_record(self._catalogue.item(row)) for row in range(len(self._catalogue))]
        header = {"feature_set": FEATURE_SET, "inputs": list(INPUTS), "items": items}
        (directory / CATALOGUE_FILE).write_text(json.dumps(header), encoding="utf-8")

    def load(self, directory: Path) -> list[Item]:
        """Resume from ``save``. Raises GenerationRefused when a file is missing or wrong.

        Returns the items that are new or have changed since, in the order of their rows. A
        refused load leaves a learner that must not be used.
        """
        try:
            state = safetensors.torch.load_file(str(directory / STATE_FILE))
            saved = self.recall(directory)
            self._load(state, self._catalogue.rows([item.item_id for item in saved]))
        except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise GenerationRefused(f"{directory} cannot be resumed from: {error}") from error
        before = {item.item_id: item for item in saved}
        now = self._items(range(len(self._catalogue)))
        return [item for item in now if before.get(item.item_id) != item]

    def recall(self, directory: Path) -> list[Item]:
        """Know at least the items that were known at ``save``; what they were then.

        Before anything else is known, they get the rows they had: the order of rows is part
        of what makes a repetition exact (docs/adr/0090). Raises GenerationRefused.
        """
        try:
            header = json.loads((directory / CATALOGUE_FILE).read_text(encoding="utf-8"))
            if header["inputs"] != list(INPUTS):
                raise GenerationRefused("the checkpoint's inputs are not those of this version")
            saved = [item_from_record(record) for record in header["items"]]
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise GenerationRefused(f"{directory} cannot be resumed from: {error}") from error
        self._catalogue.put(i for i in saved if self._catalogue.row(i.item_id) is None)
        return saved

    def know(self, items: Sequence[Item]) -> list[Item]:
        """Take in new and changed items, with their vectors; which of them were news."""
        version = self._catalogue.version
        self._catalogue.put(items)
        if version == self._catalogue.version:
            return []
        self._follow_catalogue()
        return self._items(self._catalogue.changed_since(version))

    def _load(self, state: Mapping[str, Tensor], row_of_row: np.ndarray) -> None:
        renumber = torch.cat([torch.from_numpy(row_of_row).int(), torch.tensor([-1]).int()])
        self._fast.load_state(_under("fast.", state))
        self._memory.load_state(_weighed(_renumbered(_under("memory.", state), renumber)))
        self._quota.load_state({k: v.numpy() for k, v in _under("quota.", state).items()})
        waiting = _weighed(_renumbered(_under("waiting.", state), renumber))
        self._waiting = Remembered(**waiting) if waiting else None
        if self._slow is not None and self._encoder is not None:
            self._slow.load_state(_under("slow.", state))
            self._encoder = self._encoder.with_adapter(_under("served.", state))
            self.index = ItemIndex(self._encoder, state.get("centre"))
            self._centre_D = self.index.centre
            self._resume_publication(_under("coming.", state), state)
        self._generator.set_state(state["random"])

    def _resume_publication(
        self, coming: Mapping[str, Tensor], state: Mapping[str, Tensor]
    ) -> None:
        self.close()
        self._coming = None
        if coming and self._encoder is not None:
            encoder, flip_step = self._encoder.with_adapter(coming), int(state["flip_step"])
            self._coming = Publication(encoder, self._catalogue, flip_step)


_FIELDS = fields(Remembered)


def _centre_of(index: Vectors) -> Tensor | None:
    return index.centre if isinstance(index, ItemIndex) else None


def _renumbered(state: dict[str, Tensor], renumber: Tensor) -> dict[str, Tensor]:
    """Old catalogue rows to new ones; -1 (the last entry of ``renumber``) stays."""
    moved = {name: renumber[state[name].long()] for name in ("rows", "history") if name in state}
    return state | moved


def _weighed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Examples of a checkpoint that is older than quotas weigh 1 and are nobody's."""
    if "kind" in state:
        state.setdefault("weight", torch.ones(len(state["kind"])))
        state.setdefault("user", torch.zeros(len(state["kind"]), dtype=torch.long))
    return state


def _refresh_similarities(memory: Remembered, vectors_ND: Tensor) -> None:
    for start in range(0, len(memory), 256):
        part = slice(start, start + 256)
        sims = candidate_similarities(
            vectors_ND, memory.history[part].long(), memory.rows[part].long()
        )
        memory.inputs[part, :, len(FEATURES) :] = sims.half()


def _narrowed(example: Example, width: int) -> Example:
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


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
