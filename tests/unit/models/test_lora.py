"""Every adapter method on every family, the recipes' too.

It starts as no change, it learns, it is saved, loaded, and refused where it cannot work.
"""

from __future__ import annotations

from pathlib import Path

import peft
import pytest
import torch

from streamrec.errors import GenerationRefused, SettingsError
from streamrec.lab.recipes import ia3, last_layers, prefix
from streamrec.lab.recipes.names import METHODS
from streamrec.models.encoder import TextEncoder
from streamrec.models.loading import build_encoder
from streamrec.settings import Adapter, EncoderSettings
from tests.fakes.language_models import DEPTH, WIDTH, WordTokenizer, stir, tiny_encoder, tiny_model

TEXTS = ["a film", "the good the bad and the ugly", "once upon a time in the west"]
FAMILIES = ("bert", "llama", "t5", "gpt2")
IN_THE_LOOP = ("lora", "dora", "full", "none")
NOT_BY_PEFT = frozenset({"full", "none", "last-layers"})
NO_PREFIX = frozenset({"bert", "t5"})

COMBINATIONS = [
    (family, method)
    for family in FAMILIES
    for method in (*IN_THE_LOOP, *METHODS)
    if not (method == "prefix" and family in NO_PREFIX)
]


def encoder_with(method: str, family: str = "bert", **settings: object) -> TextEncoder:
    """By a method of the loop or of the laboratory."""
    if method in METHODS:
        return tiny_encoder(family, method=METHODS[method].adapt, **settings)
    return tiny_encoder(family, adapter=Adapter(method), **settings)


@pytest.mark.parametrize(("family", "method"), COMBINATIONS)
def test_it_starts_as_no_change_and_then_learns(family: str, method: str) -> None:
    encoder = encoder_with(method, family)
    frozen = tiny_encoder(family, adapter=Adapter.NONE).encode(TEXTS)
    if method != "prefix":  # a prefix takes part in attention from the start
        torch.testing.assert_close(encoder.encode(TEXTS), frozen, atol=1e-6, rtol=0)
    parameters = encoder.trainable_parameters()
    if method == "none":
        assert parameters == []
        return
    optimiser = torch.optim.Adam(parameters, lr=0.01)
    first, last = 0.0, 0.0
    for step in range(8):
        vectors = encoder.embed(TEXTS)
        loss = vectors[0] @ vectors[1] - vectors[0] @ vectors[2]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        first, last = (float(loss.detach()) if step == 0 else first), float(loss.detach())
    assert last < first
    trained = encoder.encode(TEXTS)
    torch.testing.assert_close(trained, encoder.embed(TEXTS).detach(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("family", "method"), COMBINATIONS)
def test_saved_and_loaded_it_gives_the_same_vectors(
    family: str, method: str, tmp_path: Path
) -> None:
    encoder = encoder_with(method, family)
    encoder.load_adapter_state(stir(encoder))
    encoder.save_adapter(tmp_path)
    again = encoder_with(method, family)
    again.load_adapter(tmp_path)
    assert again.encoder_version == encoder.encoder_version
    torch.testing.assert_close(again.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6, rtol=0)
    if method != "none":
        assert encoder.encoder_version != encoder_with(method, family).encoder_version


@pytest.mark.parametrize(
    ("family", "method"), [pair for pair in COMBINATIONS if pair[1] not in NOT_BY_PEFT]
)
def test_plain_peft_loads_it(family: str, method: str, tmp_path: Path) -> None:
    encoder = encoder_with(method, family)
    encoder.load_adapter_state(stir(encoder))
    encoder.save_adapter(tmp_path)
    plain = peft.PeftModel.from_pretrained(tiny_model(family), str(tmp_path)).eval()
    for text, vector in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        ids = WordTokenizer()([text], truncation=True, max_length=32)["input_ids"]
        ids_BT = torch.tensor(ids)
        with torch.no_grad():
            hidden_TD = plain(
                input_ids=ids_BT, attention_mask=torch.ones_like(ids_BT)
            ).last_hidden_state[0]
        pooled = hidden_TD[-1] if family in {"llama", "gpt2"} else hidden_TD.mean(dim=0)
        expected = torch.nn.functional.normalize(pooled, dim=0)
        torch.testing.assert_close(vector, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_last_layers_change(family: str) -> None:
    names = tiny_encoder(family, layers=1).adapter_state()
    assert names
    assert all(f".{DEPTH - 1}." in name for name in names)


def test_adapters_do_not_load_each_others_files(tmp_path: Path) -> None:
    encoder_with("lora").save_adapter(tmp_path)
    for other in {*IN_THE_LOOP, *METHODS} - {"lora", "prefix"}:
        with pytest.raises(GenerationRefused):
            encoder_with(other).load_adapter(tmp_path)


def test_the_same_weights_with_another_alpha_are_another_version() -> None:
    assert tiny_encoder(alpha=8).encoder_version != tiny_encoder(alpha=16).encoder_version


@pytest.mark.parametrize(
    ("family", "settings", "reason"),
    [
        ("bert", {"method": prefix.adapt}, "decoder's cache"),
        ("t5", {"method": prefix.adapt}, "decoder's cache"),
        ("bert", {"layers": DEPTH + 1}, f"bert has {DEPTH} layers"),
        ("bert", {"rank": WIDTH + 1}, "above the model's width"),
        ("bert", {"max_tokens": 513}, "reads 512"),
        ("bert", {"adapter": Adapter.FULL, "dtype": "bfloat16"}, "rounded away"),
        ("llama", {"method": last_layers.adapt, "dtype": "bfloat16"}, "rounded away"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(
    family: str, settings: dict[str, object], reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason):
        tiny_encoder(family, **settings)


def test_every_reason_is_given_at_once() -> None:
    with pytest.raises(SettingsError) as refusal:
        tiny_encoder("bert", layers=9, rank=99, max_tokens=999)
    assert len(refusal.value.problems) == 3


def test_ia3_on_a_family_it_does_not_know() -> None:
    model = tiny_model("bert")
    model.config.model_type = "brand-new"
    with pytest.raises(SettingsError, match="use lora"):
        ia3.adapt(model, EncoderSettings())


def test_last_layers_are_trained_exactly_above_frozen_ones_in_bfloat16() -> None:
    encoder = build_encoder(
        tiny_model("bert").to(torch.bfloat16),
        WordTokenizer(),
        EncoderSettings(layers=2),
        name="tiny",
        digest="0",
        method=last_layers.adapt,
    )
    assert {p.dtype for p in encoder.trainable_parameters()} == {torch.float32}
    assert encoder.frozen_dtype is torch.bfloat16
    assert torch.isfinite(encoder.encode(["a film", "another"])).all()
