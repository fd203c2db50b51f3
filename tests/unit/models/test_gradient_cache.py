"""Gradient accumulation gives the gradient of one large batch, with negatives across chunks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from streamrec.models.encoder import TextEncoder
from streamrec.models.gradient_cache import TEXTS as FEW_TEXTS
from streamrec.models.gradient_cache import TOKENS, Chunk, GradientCache
from streamrec.settings import Adapter
from tests.fakes.language_models import stir, tiny_encoder

TEXTS = [f"word{n} word{n * 3 % 7} word{n * 5 % 11}"[: 12 + n] for n in range(10)]


def in_batch(raw_UD: Tensor) -> Tensor:
    """Every text against all others: no sum over chunks."""
    scores_UU = 5.0 * raw_UD @ raw_UD.T
    target_U = (torch.arange(len(raw_UD)) + 3) % len(raw_UD)
    return torch.nn.functional.cross_entropy(scores_UU, target_U)


def encoder_of(adapter: Adapter, **settings: object) -> TextEncoder:
    encoder = tiny_encoder(adapter=adapter, **settings)
    encoder.load_adapter_state(stir(encoder))
    return encoder


def gradients(
    encoder: TextEncoder, count: int, loss: Callable[[Tensor], Tensor] = in_batch
) -> tuple[float, list[Tensor], list[Chunk]]:
    for parameter in encoder.trainable_parameters():
        parameter.grad = None
    size = -(-len(TEXTS) // count)
    cut = [TEXTS[start : start + size] for start in range(0, len(TEXTS), size)]
    own = [Chunk(*encoder.hidden_states(part)) for part in cut]
    for chunk in own:
        chunk.want_gradient()
    value = GradientCache(encoder).backward(own, loss, seed=3)
    grads = [p.grad.clone() for p in encoder.trainable_parameters() if p.grad is not None]
    return value, grads, own


@pytest.mark.parametrize("adapter", [Adapter.LORA, Adapter.DORA, Adapter.FULL])
@pytest.mark.parametrize("count", [2, 3, 10])
def test_chunks_add_up_to_one_large_batch(adapter: Adapter, count: int) -> None:
    encoder = encoder_of(adapter)
    loss, whole, _ = gradients(encoder, 1)
    again, parts, _ = gradients(encoder, count)
    assert again == pytest.approx(loss, abs=1e-5)
    assert len(parts) == len(whole) > 0
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(other, one, atol=2e-5, rtol=1e-3)


def test_plain_accumulation_is_something_else() -> None:
    encoder = encoder_of(Adapter.LORA)
    _, whole, _ = gradients(encoder, 1)
    for parameter in encoder.trainable_parameters():
        parameter.grad = None
    for part in (TEXTS[:5], TEXTS[5:]):
        torch.autograd.backward(in_batch(encoder.embed(part)) / 2)
    plain = [p.grad for p in encoder.trainable_parameters()]
    apart = [
        float((a - b).norm() / a.norm()) for a, b in zip(whole, plain, strict=True) if a.norm()
    ]
    assert max(apart) > 0.1


def test_dropout_is_the_same_in_both_passes_of_a_chunk() -> None:
    """Else the gradient would belong to vectors that the loss has never seen."""
    encoder = encoder_of(Adapter.LORA, dropout=0.5)
    seen: list[Tensor] = []

    def remembering(raw_UD: Tensor) -> Tensor:
        seen.append(raw_UD.detach().clone())
        return in_batch(raw_UD)

    first = gradients(encoder, 2, remembering)
    second = gradients(encoder, 2, remembering)
    assert first[0] == second[0]
    for one, other in zip(first[1], second[1], strict=True):
        assert torch.equal(one, other)
    assert not torch.allclose(seen[0], encoder.encode(TEXTS), atol=1e-4)  # it did drop something


def test_dropout_ends_with_the_step() -> None:
    encoder = encoder_of(Adapter.DORA, dropout=0.5)
    before = encoder.encode(TEXTS)
    gradients(encoder, 1)
    assert torch.equal(encoder.encode(TEXTS), before)


@pytest.mark.parametrize("adapter", [Adapter.LORA, Adapter.FULL])
def test_what_enters_has_a_gradient_when_wanted(adapter: Adapter) -> None:
    encoder = encoder_of(adapter)
    _, _, chunks = gradients(encoder, 1)
    assert chunks[0].gradient.shape == chunks[0].hidden_BTH.shape
    assert float(chunks[0].gradient.norm()) > 0


def test_a_gradient_nobody_wanted_is_missed_aloud() -> None:
    encoder = encoder_of(Adapter.LORA)
    with pytest.raises(ValueError, match="want_gradient"):
        Chunk(*encoder.hidden_states(TEXTS)).gradient  # noqa: B018


def test_halves_are_the_whole() -> None:
    for family in ("bert", "gpt2", "llama", "t5"):
        encoder = tiny_encoder(family)
        with torch.no_grad():
            whole = encoder.embed(TEXTS)
            halves = encoder.forward(*encoder.hidden_states(TEXTS))
        torch.testing.assert_close(halves, whole, atol=1e-5, rtol=1e-4)


def test_mixed_precision_moves_in_the_same_direction() -> None:
    encoder = encoder_of(Adapter.LORA)
    _, whole, _ = gradients(encoder, 1)
    for parameter in encoder.trainable_parameters():
        parameter.grad = None
    GradientCache(encoder, bfloat16=True).backward(
        [Chunk(*encoder.hidden_states(TEXTS))], in_batch, 3
    )
    mixed = torch.cat([p.grad.flatten() for p in encoder.trainable_parameters()])
    exact = torch.cat([grad.flatten() for grad in whole])
    assert mixed.dtype == torch.float32
    assert torch.cosine_similarity(mixed, exact, dim=0) > 0.98
    assert not torch.equal(mixed, exact)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "t5"])
def test_the_model_sees_few_shapes_and_padding_changes_no_vector(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, shapes, forward = tiny_encoder(family), set(), TextEncoder.forward

    def noting(self: TextEncoder, hidden_BTH: Tensor, mask_BT: Tensor) -> Tensor:
        shapes.add(tuple(mask_BT.shape))
        return forward(self, hidden_BTH, mask_BT)

    monkeypatch.setattr(TextEncoder, "forward", noting)
    for count in range(2, 11):
        texts, seen = TEXTS[:count], []

        def remembering(raw_UD: Tensor, seen: list[Tensor] = seen) -> Tensor:
            seen.append(raw_UD.detach().clone())
            return in_batch(raw_UD)

        GradientCache(encoder).backward([Chunk(*encoder.hidden_states(texts))], remembering, seed=3)
        torch.testing.assert_close(seen[0], encoder.encode(texts), atol=1e-5, rtol=1e-4)
    assert shapes == {(FEW_TEXTS, TOKENS)}
