"""benchmarks/training.py runs: what it calls is what the trainer calls."""

from __future__ import annotations

from benchmarks.training import encoded, make_examples, new_learner, trainer_loop
from streamrec.core.events import Item
from streamrec.core.state.catalogue import Catalogue
from tests.harness.codec import wire_codec


def test_every_example_of_its_messages_is_learned() -> None:
    catalogue = Catalogue()
    catalogue.put(Item(f"i{n}", "t") for n in range(100))
    learner, codec = new_learner(catalogue), wire_codec()
    trainer_loop(learner, encoded(make_examples(64, 100), 32, codec), codec)
    assert len(learner.memory) == 64
