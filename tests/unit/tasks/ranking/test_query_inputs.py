"""What a query says of items, and what the head learns of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from streamrec.core.events import Item
from streamrec.core.state.catalogue import UNKNOWN, Catalogue
from streamrec.tasks.ranking.model.head import QUERY_PART, Head, completed
from streamrec.tasks.ranking.model.head_trainer import HeadConfig, HeadTrainer
from streamrec.tasks.ranking.model.query_inputs import (
    QUERY_INPUTS,
    SPREAD,
    WINDOW_WORDS,
    WINDOWS,
    query_inputs,
    windows,
)
from streamrec.tasks.ranking.model.replay_buffer import ReplayBatch
from tests.harness.head_training import pairs

ITEMS = [
    Item("bees", "The Quiet Bees", categories=("drama",)),
    Item("wasps", "The Loud Wasps", categories=("comedy", "war")),
    Item("ants", "The Small Ants", categories=("comedy",)),
]
VECTORS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])


@pytest.fixture
def shop() -> Catalogue:
    catalogue = Catalogue()
    catalogue.put(ITEMS)
    return catalogue


def read(shop: Catalogue, query: str, rows: list[int] | None = None) -> dict[str, list[float]]:
    rows_C = np.array([0, 1, 2] if rows is None else rows, np.int32)
    along = lambda texts: torch.tensor([[1.0, 0.0]] * len(texts))  # noqa: E731
    [found_CQ] = query_inputs([query], [rows_C], VECTORS, shop, along)
    return dict(zip(QUERY_INPUTS, found_CQ.T.tolist(), strict=True))


def test_closeness_is_counted_in_what_is_usual(shop: Catalogue) -> None:
    found = read(shop, "something about bees")
    expected = [1.0 / SPREAD, 0.0, 0.6 / SPREAD]
    assert found["query_last"] == pytest.approx(expected)
    assert found["query_mean"] == pytest.approx(expected)
    assert found["named_nearest"] == found["is_named"] == [0.0, 0.0, 0.0]


def test_items_and_categories_that_are_named_count(shop: Catalogue) -> None:
    found = read(shop, "a comedy like The Loud Wasps")
    assert found["named_nearest"] == pytest.approx([0.0, 1.0 / SPREAD, 0.8 / SPREAD])
    assert found["is_named"] == [0.0, 1.0, 0.0]
    assert found["asks_category"] == [0.0, 1.0, 1.0]
    assert found["category_asked"] == [0.0, 0.5, 1.0]


def test_a_name_and_nothing_else_asks_for_the_item_itself(shop: Catalogue) -> None:
    found = read(shop, " the loud WASPS?")
    assert found["named_nearest"] == pytest.approx([0.0, 1.0 / SPREAD, 0.8 / SPREAD])
    assert found["is_named"] == [0.0, 0.0, 0.0]


def test_of_an_unknown_item_nothing_is_said(shop: Catalogue) -> None:
    found = read(shop, "a comedy like The Loud Wasps", [UNKNOWN, 1])
    assert {name: values[0] for name, values in found.items()} == dict.fromkeys(QUERY_INPUTS, 0.0)


def test_of_a_long_query_the_last_pieces_are_read_newest_first() -> None:
    words = [f"w{n}" for n in range(WINDOW_WORDS * (WINDOWS + 1))]
    found = windows(" ".join(words))
    assert len(found) == WINDOWS
    assert found[0].split() == words[-WINDOW_WORDS:]
    assert windows("  ") == []


def asked(seed: int, sign: float = 1.0) -> ReplayBatch:
    """What is accepted is what the query is closest to; other inputs say nothing of it."""
    batch = pairs(seed)
    generator = torch.Generator().manual_seed(seed + 1_000)
    query = torch.randn(*batch.labels.shape, len(QUERY_INPUTS), generator=generator)
    labels = torch.nn.functional.one_hot((sign * query[..., 1]).argmax(1), query.shape[1]).float()
    everywhere = torch.ones(len(labels), dtype=torch.bool)
    return replace(batch, query=query, labels=labels, asked=everywhere)


def hits(head: Head, batch: ReplayBatch) -> float:
    scores_BC = head.asked(batch.inputs, batch.query, batch.asked)
    return float((scores_BC.argmax(1) == batch.labels.argmax(1)).float().mean())


def trained(batches: list[ReplayBatch]) -> HeadTrainer:
    trainer = HeadTrainer(HeadConfig(), torch.Generator().manual_seed(0))
    for batch in batches:
        trainer.observe(batch)
        trainer.step(batch)
    return trainer


def test_what_a_query_is_worth_is_learned() -> None:
    against = asked(99, sign=-1.0)
    trainer = trained([asked(n, sign=-1.0) for n in range(60)])
    assert hits(Head(), against) < 0.3
    assert hits(trainer.head, against) > 0.6


def test_where_nothing_is_asked_every_weight_is_what_it_was() -> None:
    trainer = trained([pairs(n) for n in range(5)])
    fresh, learned = Head().query_part.state_dict(), trainer.head.query_part.state_dict()
    assert all(torch.equal(fresh[name], learned[name]) for name in fresh)
    batch = pairs(7)
    assert torch.equal(
        trainer.head.asked(batch.inputs, batch.query, batch.asked), trainer.head(batch.inputs)
    )


def test_a_head_from_before_queries_gets_a_part_that_has_learned_nothing() -> None:
    whole = Head().state_dict()
    old = {name: value for name, value in whole.items() if not name.startswith(QUERY_PART)}
    assert completed(old).keys() == whole.keys()
    Head().load_state_dict(completed(old))
