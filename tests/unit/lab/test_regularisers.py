"""What a training step sees instead of the plain text, and averages of adapters."""

from __future__ import annotations

import pytest
import torch

from streamrec.core.events import Item
from streamrec.lab.ablations.regularisers import (
    adversarial,
    hidden_tokens,
    mean_state,
    shuffled_text,
)
from streamrec.models.item_index import item_text


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_hidden_tokens_leave_the_ends_and_the_order() -> None:
    rows = torch.arange(40.0).reshape(2, 20, 1)
    mask = torch.ones(2, 20, dtype=torch.long)
    mask[1, 10:] = 0
    kept, kept_mask = hidden_tokens(rows, mask, 0.5, generator())
    for b, length in enumerate((20, 10)):
        stayed = kept[b, : int(kept_mask[b].sum()), 0].tolist()
        assert stayed[0] == rows[b, 0, 0]
        assert stayed[-1] == rows[b, length - 1, 0]
        assert stayed == sorted(stayed)
        assert len(stayed) < length


def test_hidden_tokens_are_the_seeds() -> None:
    rows, mask = torch.randn(3, 12, 4), torch.ones(3, 12, dtype=torch.long)
    one, other, third = (hidden_tokens(rows, mask, 0.3, generator(s))[0] for s in (1, 1, 2))
    assert torch.equal(one, other)
    assert one.shape != third.shape or not torch.equal(one, third)
    assert hidden_tokens(rows, mask, 0.0, generator())[0] is rows


def test_half_of_the_texts_begin_with_the_categories() -> None:
    item, drawn = Item("i", "Alien", "In space", ("Horror", "Sci-Fi")), generator()
    texts = [shuffled_text(item, drawn) for _ in range(200)]
    assert set(texts) == {"Alien. Horror, Sci-Fi. In space", "Horror, Sci-Fi. Alien. In space"}
    assert 70 < texts.count(item_text(item)) < 130
    plain = Item("i", "Alien")
    assert shuffled_text(plain, drawn) == item_text(plain)


def test_a_perturbation_is_as_long_as_it_should_be_and_touches_nothing() -> None:
    entering = torch.randn(3, 5, 4)
    before = entering.clone()
    gradient = torch.randn(3, 5, 4)
    perturbed = adversarial(entering, gradient, 0.1)
    assert torch.equal(entering, before)
    moved = (perturbed - entering).flatten(1)
    torch.testing.assert_close(moved.norm(dim=1), 0.1 * entering.flatten(1).norm(dim=1))
    cosine = torch.cosine_similarity(moved, gradient.flatten(1))
    torch.testing.assert_close(cosine, torch.ones(3))


def test_without_a_gradient_nothing_is_perturbed() -> None:
    entering = torch.randn(2, 3, 4)
    torch.testing.assert_close(adversarial(entering, torch.zeros(2, 3, 4), 0.5), entering)


def test_the_mean_is_tensor_by_tensor() -> None:
    states = [{"a": torch.full((2, 2), float(n))} for n in (1, 2, 6)]
    assert torch.equal(mean_state(states)["a"], torch.full((2, 2), 3.0))


@pytest.mark.parametrize("size", [1e-3, 1e-2])
def test_along_one_trajectory_the_error_of_averaged_factors_is_second_order(size: float) -> None:
    """mean(B) mean(A) - mean(BA) is the covariance of the deviations."""
    base_a, base_b = torch.randn(4, 16, generator=generator(1)), torch.randn(16, 4)
    drawn = generator(2)
    pairs = [
        (
            base_b + size * torch.randn(16, 4, generator=drawn),
            base_a + size * torch.randn(4, 16, generator=drawn),
        )
        for _ in range(4)
    ]
    products = torch.stack([b @ a for b, a in pairs]).mean(0)
    mean = mean_state([{"b": b, "a": a} for b, a in pairs])
    error = (mean["b"] @ mean["a"] - products).norm() / products.norm()
    assert 0 < error < 5 * size**2
