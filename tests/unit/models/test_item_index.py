"""ItemIndex: incremental, centred, consistent for readers."""

from __future__ import annotations

import pytest
import torch

from streamrec.core.events import Item
from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import GenerationRefused
from streamrec.models.item_index import CENTRE_ITEMS, ItemIndex, centred, item_text
from tests.fakes.language_models import stir, tiny_encoder


def items(start: int, stop: int, title: str = "title") -> list[Item]:
    return [
        Item(f"i{n}", f"{title} number {n}", categories=(f"c{n % 3}",)) for n in range(start, stop)
    ]


def catalogue_of(*batches: list[Item]) -> Catalogue:
    catalogue = Catalogue()
    for batch in batches:
        catalogue.put(batch)
    return catalogue


def test_item_text_is_title_categories_text() -> None:
    assert (
        item_text(Item("1", " Heat ", "A heist.", ("Crime", "Drama")))
        == "Heat. Crime, Drama. A heist."
    )
    assert item_text(Item("1", "Heat")) == "Heat"
    assert item_text(Item("1", "", " ")) == ""


def test_only_missing_and_changed_rows_are_encoded() -> None:
    encoder, catalogue = tiny_encoder(), catalogue_of(items(0, 5))
    index = ItemIndex(encoder)
    assert index.ensure(catalogue) == 5
    assert index.ensure(catalogue) == 0
    catalogue.put(items(5, 8))
    assert index.ensure(catalogue) == 3
    before = index.vectors
    kept = before.clone()
    catalogue.put(
        [Item("i2", "another title"), Item("i3", "title number 3", "", ("c0",), {"a": "b"})]
    )
    assert index.ensure(catalogue) == 1, "an attribute is not text"
    assert torch.equal(before, kept), "what a reader holds never changes"
    changed = (index.vectors != before).any(dim=1).nonzero().flatten().tolist()
    assert changed == [2]
    torch.testing.assert_close(index.vectors[2], encoder.encode(["another title"])[0])


def test_an_item_without_text_is_a_zero_vector() -> None:
    catalogue = catalogue_of([Item("1", "Heat"), Item("2", "")])
    index = ItemIndex(tiny_encoder(), centre=torch.full((32,), 0.01))
    index.ensure(catalogue)
    assert index.vectors[0].norm() == pytest.approx(1)
    assert index.vectors[1].norm() == 0


def test_an_empty_catalogue_has_an_empty_index() -> None:
    index = ItemIndex(tiny_encoder())
    assert index.ensure(Catalogue()) == 0
    assert index.vectors.shape == (0, 32)


def test_the_centre_is_learned_once_there_is_enough_and_then_stays() -> None:
    encoder, catalogue = tiny_encoder(), catalogue_of(items(0, 100), [Item("blank", "")])
    index = ItemIndex(encoder)
    index.ensure(catalogue)
    young = index.key
    assert not index.centre.any()
    catalogue.put(items(100, CENTRE_ITEMS))
    index.ensure(catalogue)
    texts = [item_text(catalogue.item(row)) for row in range(len(catalogue))]
    raw = encoder.encode(texts)
    raw[100] = 0
    centre = raw[[row for row in range(len(texts)) if row != 100]].mean(dim=0)
    torch.testing.assert_close(index.centre, centre)
    torch.testing.assert_close(index.vectors, centred(raw, centre))
    learned = index.key
    assert learned != young
    catalogue.put(items(CENTRE_ITEMS, 2 * CENTRE_ITEMS, title="quite other words"))
    index.ensure(catalogue)
    assert index.key == learned


def test_a_given_centre_makes_two_indexes_agree_whatever_came_first() -> None:
    encoder = tiny_encoder()
    trainer = ItemIndex(encoder)
    trainer.ensure(catalogue_of(items(0, 300)))
    reverse = catalogue_of(items(0, 300)[::-1])
    serving = ItemIndex(encoder.with_adapter(), trainer.centre)
    serving.ensure(reverse)
    assert serving.key == trainer.key
    torch.testing.assert_close(serving.vectors.flip(0), trainer.vectors, atol=1e-5, rtol=0)


def test_growth_keeps_every_row_a_reader_has_seen() -> None:
    catalogue, index, held = Catalogue(), ItemIndex(tiny_encoder(), torch.zeros(32)), []
    for start in range(0, 60, 7):
        catalogue.put(items(start, start + 7))
        index.ensure(catalogue)
        held.append((index.vectors, index.vectors.clone()))
    for view, copy in held:
        assert torch.equal(view, copy)
        assert torch.equal(index.vectors[: len(view)], view)


def test_an_encoder_that_moved_on_is_refused() -> None:
    encoder, catalogue = tiny_encoder(), catalogue_of(items(0, 3))
    index = ItemIndex(encoder)
    index.ensure(catalogue)
    encoder.load_adapter_state(stir(encoder))
    catalogue.put(items(3, 4))
    with pytest.raises(GenerationRefused, match="new index"):
        index.ensure(catalogue)
    assert len(index) == 3
