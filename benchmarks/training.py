"""Training step rate against a bare loop on the same tensors.

    python -m benchmarks.training [--steps 300] [--items 10000]

Four figures from one run, the same examples in all of them, without Kafka:

    bare      forward, both losses, backward, AdamW on prepared tensors: nothing else
    lane      one step of the head trainer: + warm-up, clipping, averaged weights
    learner   examples to steps: + tensors, text similarities, replay memory, standardisation
    trainer   mini-batches from bytes: + Avro decoding, watermarks, trial bookkeeping

A step sees 32 fresh examples and 200 replayed ones, each of up to 64 candidates. The ratio
is a figure's step rate over the bare one's.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from streamrec.core.events import Item
from streamrec.core.examples import TrainingBatch
from streamrec.core.ledger.ledger import Ledger
from streamrec.core.state.catalogue import Catalogue, item_record
from streamrec.infra.wire.codec import WireCodec
from streamrec.models.item_index import FixedVectors
from streamrec.tasks.ranking.example_maker import KEPT_NEGATIVES
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample
from streamrec.tasks.ranking.features import FEATURE_SET, FEATURES
from streamrec.tasks.ranking.model.head import INPUTS, Head
from streamrec.tasks.ranking.model.head_trainer import HeadConfig, HeadTrainer, listwise
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner
from streamrec.tasks.ranking.model.query_inputs import QUERY_INPUTS
from streamrec.tasks.ranking.model.replay_buffer import ReplayBatch
from tests.harness.codec import wire_codec

DIM = 384
CANDIDATES = 1 + KEPT_NEGATIVES
HISTORY = 20


def made_up(items: int) -> FixedVectors:
    """An index that is complete: what encoding costs is benchmarks/encoder.py's matter."""
    generator = torch.Generator().manual_seed(0)
    return FixedVectors(functional.normalize(torch.randn(items, DIM, generator=generator), dim=1))


def make_examples(count: int, items: int) -> list[RankingExample]:
    rng = np.random.default_rng(0)
    names = [f"i{n}" for n in range(items)]
    labels_C = np.zeros(CANDIDATES, np.float32)
    labels_C[0] = 1
    return [
        RankingExample(
            partition=0, offset=offset, index=0, kind=ExampleKind.NEXT_CLICK,
            user_id=f"u{offset % 500}", shown_at_ms=offset, produced_at_ms=offset,
            history=tuple(names[n] for n in rng.integers(items, size=HISTORY)),
            candidates=tuple(names[n] for n in rng.choice(items, CANDIDATES, replace=False)),
            labels_C=labels_C,
            stats_CF=rng.normal(0, 1, (CANDIDATES, len(FEATURES))).astype(np.float32),
            log_q_C=rng.normal(-8, 1, CANDIDATES).astype(np.float32),
        )
        for offset in range(count)
    ]  # fmt: skip


def prepared(recipe: LearnerConfig, steps: int) -> list[ReplayBatch]:
    """Tensors of whole steps, as the learner would hand them to the head trainer."""
    generator = torch.Generator().manual_seed(1)
    rows = recipe.step_examples + recipe.replayed
    shape = (rows, recipe.candidates)
    labels = torch.zeros(shape)
    labels[:, 0] = 1
    return [
        ReplayBatch(
            inputs=torch.randn(*shape, len(INPUTS), generator=generator),
            labels=labels,
            log_q=torch.zeros(shape),
            mask=torch.ones(shape, dtype=torch.bool),
            kind=torch.ones(rows, dtype=torch.long),
            rows=torch.zeros(shape, dtype=torch.int32),
            history=torch.zeros(rows, 1, dtype=torch.int32),
            weight=torch.ones(rows),
            user=torch.zeros(rows, dtype=torch.long),
            query=torch.zeros(*shape, len(QUERY_INPUTS)),
            asked=torch.zeros(rows, dtype=torch.bool),
        )
        for _ in range(min(steps, 20))
    ]


def bare_loop(batches: Sequence[ReplayBatch], steps: int) -> None:
    head = Head(torch.Generator().manual_seed(0))
    optimiser = torch.optim.AdamW(head.parameters(), lr=3e-3)
    for number in range(steps):
        batch = batches[number % len(batches)]
        scores_BC = head(batch.inputs)
        loss: Tensor = listwise(scores_BC, batch)
        logits_BC = head.calibrated_logit(scores_BC.detach(), batch.kind[:, None])
        loss = loss + functional.binary_cross_entropy_with_logits(logits_BC, batch.labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


def lane_loop(batches: Sequence[ReplayBatch], steps: int) -> None:
    lane = HeadTrainer(HeadConfig(), torch.Generator().manual_seed(0))
    for number in range(steps):
        lane.step(batches[number % len(batches)])


def new_learner(catalogue: Catalogue) -> OnlineLearner:
    return OnlineLearner(catalogue, made_up(len(catalogue)), seed=0)


def learner_loop(learner: OnlineLearner, examples: Sequence[RankingExample], size: int) -> None:
    for start in range(0, len(examples), size):
        learner.learn(examples[start : start + size])


def trainer_loop(learner: OnlineLearner, messages: Sequence[bytes], codec: WireCodec) -> None:
    """What a round of ``loop.training.train`` does with each message, Kafka and trials aside."""
    ledger = Ledger()
    for message in messages:
        batch = codec.decode("training-batches", message)
        ledger, intake = ledger.admit(batch)
        learner.learn(intake.fresh)


def encoded(examples: Sequence[RankingExample], size: int, codec: WireCodec) -> list[bytes]:
    return [
        codec.encode(
            "training-batches",
            TrainingBatch(0, start, start + size, FEATURE_SET, examples[start : start + size]),
        )
        for start in range(0, len(examples), size)
    ]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=0, help="0: torch decides")
    wish = parser.parse_args()
    if wish.threads:
        torch.set_num_threads(wish.threads)
    recipe = LearnerConfig()
    size = recipe.step_examples
    catalogue = Catalogue()
    catalogue.apply_rows({f"i{n}": item_record(Item(f"i{n}", "t")) for n in range(wish.items)})
    examples = make_examples(wish.steps * size, wish.items)
    batches = prepared(recipe, wish.steps)
    codec = wire_codec()
    messages = encoded(examples, size, codec)
    warm, cold = make_examples(recipe.replayed * 2, wish.items), batches[:1]
    learner, trained = new_learner(catalogue), new_learner(catalogue)
    for one in (learner, trained):
        learner_loop(one, warm, size)  # the replay memory is in use from the start
    bare_loop(cold, 20)
    took = {
        "bare": seconds(lambda: bare_loop(batches, wish.steps)),
        "lane": seconds(lambda: lane_loop(batches, wish.steps)),
        "learner": seconds(lambda: learner_loop(learner, examples, size)),
        "trainer": seconds(lambda: trainer_loop(trained, messages, codec)),
    }
    print(
        f"{platform.machine()}, {os.cpu_count()} CPUs, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads; {wish.steps} steps of {size} fresh examples, "
        f"{recipe.replayed} replayed, {wish.items} items"
    )
    for name, elapsed_s in took.items():
        print(
            f"{name:8} {wish.steps / elapsed_s:8.1f} steps/s {wish.steps * size / elapsed_s:9.0f} "
            f"examples/s  {took['bare'] / elapsed_s:5.2f} of bare"
        )
    with tempfile.TemporaryDirectory() as directory:
        checkpoint(learner, Path(directory))


def checkpoint(learner: OnlineLearner, directory: Path) -> None:
    """What a checkpoint of a full replay memory costs: training stands still for it."""
    elapsed_s = seconds(lambda: learner.save(directory))
    megabytes = sum(path.stat().st_size for path in directory.rglob("*")) / 2**20
    print(f"checkpoint {elapsed_s * 1000:6.0f} ms, {megabytes:.1f} MiB")


if __name__ == "__main__":
    main()
