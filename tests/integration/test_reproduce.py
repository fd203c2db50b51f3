"""Generations made again, to the last bit, by a process that only has what the trainer left."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from streamrec.core.events import Item
from streamrec.core.examples import TrainingBatch
from streamrec.core.ledger import quarantine
from streamrec.core.release import transitions
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import Action, ControlRecord
from streamrec.errors import UserError
from tests.harness.learning import Shop, again, changed, stream
from tests.harness.training import drain

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def tmp_path(worlds: Path) -> Path:
    return worlds


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Trained in three lives, with items that come and change, and come in another order."""
    shop = Shop(tmp_path)
    whole = stream()
    for life, end in enumerate((9, 17, len(whole))):
        trainer, learner = shop.real_trainer()
        trainer.start()
        for position in range(len(shop.feed.log), end):
            shop.feed.log.append(whole[position])
            if position % 3 == 0:
                shop.items[position] = changed(shop.items[position])
                shop.items.append(Item(f"new{position}", f"word{position} word3 word{life}"))
            trainer.round(0)
        drain(trainer, shop)
        trainer.checkpoint()
        learner.close()
        shop.items.reverse()  # Redis promises no order
    return shop


def children(shop: Shop) -> list[str]:
    """Generations that passed their gate; of those that did not no snapshot is kept."""
    made = {g: shop.manifest(g) for g in shop.store.generations()}
    return [g for g, at in made.items() if at["parent"] and at["gate"]["accepted"]]


@pytest.mark.slow
def test_every_generation_is_made_again_bit_for_bit_by_another_process(shop: Shop) -> None:
    made = children(shop)
    assert len(made) >= 3
    versions = {shop.manifest(g)["encoder_version"] for g in made}
    assert len(versions) >= 3  # the slow lane has published again and again
    done = subprocess.run(
        [sys.executable, "-m", "tests.harness.learning", str(shop.root), *made],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert answers == [[g, True, shop.manifest(g)["training"]["examples"]] for g in made]


def test_one_example_less_is_noticed(shop: Shop) -> None:
    generation = children(shop)[1]
    manifest = shop.manifest(generation)
    log = stream()
    at = manifest["training"]["batches"][0]
    batch = log[at]
    assert isinstance(batch, TrainingBatch)
    log[at] = replace(batch, examples=batch.examples[1:])
    made = again(shop.root, generation, log)
    assert not made.identical
    assert any(then != now for then, now in made.digests.values())


def test_a_relearned_generation_too_without_what_is_quarantined(shop: Shop) -> None:
    latest = shop.control.reader().latest()
    assert latest is not None
    to = latest.state.history[1]
    state = transitions.relearn(latest.state, to, [quarantine.written("0:60-90")])
    shop.control.write(ControlRecord(Action.RELEARN, "ana", "bad", 0, state, to))
    trainer, learner = shop.real_trainer()
    trainer.start()
    drain(trainer, shop)
    learner.close()
    relearned = [g for g in children(shop) if shop.manifest(g)["training"]["epoch"] == 1]
    assert relearned
    assert any(shop.manifest(g)["training"]["holes"].get("0") for g in relearned)
    for generation in relearned:
        assert again(shop.root, generation, stream()).identical, generation


def test_it_says_which_input_is_gone(shop: Shop) -> None:
    generation = children(shop)[-1]
    manifest = Manifest.from_json((shop.store.get(generation) / "manifest.json").read_text())
    assert manifest.parent is not None
    first_batch = manifest.training["batches"][0]
    with pytest.raises(UserError, match=r"mini-batches .* are gone"):
        again(shop.root, generation, stream(), begins=first_batch + 2)
    shop.snapshots.drop(manifest.parent)
    with pytest.raises(UserError, match=f"snapshot is gone, that of its parent {manifest.parent}"):
        again(shop.root, generation, stream())
    shop.snapshots.drop(generation)
    first = shop.store.generations()[0]
    with pytest.raises(UserError, match="no parent"):
        again(shop.root, first, stream())
