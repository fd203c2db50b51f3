"""The default encoder with its real weights."""

from __future__ import annotations

import json
from pathlib import Path

import peft
import pytest
import torch
import transformers

from streamrec.lab.recipes.names import METHODS
from streamrec.models.encoder import TextEncoder
from streamrec.models.loading import load_encoder
from streamrec.models.packaged import PACKAGES
from streamrec.models.weights import find_weights
from streamrec.settings import Adapter, EncoderSettings
from tests.fakes.language_models import stir

pytestmark = pytest.mark.encoder

DEFAULT_MODEL = EncoderSettings().model
TITLES = [
    "The Godfather (1972). Crime, Drama",
    "The Godfather: Part II (1974). Crime, Drama",
    "Goodfellas (1990). Biography, Crime, Drama",
    "Toy Story (1995). Animation, Adventure, Comedy",
    "Toy Story 2 (1999). Animation, Adventure, Comedy",
    "Finding Nemo (2003). Animation, Adventure, Family",
    "Alien (1979). Horror, Science fiction",
    "Aliens (1986). Action, Science fiction",
    "Blade Runner (1982). Science fiction, Thriller",
    "Sense and Sensibility (1995). Drama, Romance",
    "Pride & Prejudice (2005). Drama, Romance",
    "Le Fabuleux Destin d'Amélie Poulain (2001)",
    "千と千尋の神隠し (2001)",
    "M (1931)",
]


@pytest.fixture(scope="module")
def exact() -> TextEncoder:
    return load_encoder(EncoderSettings(dtype="float32"))


@pytest.fixture(scope="module")
def plain_vectors() -> torch.Tensor:
    """transformers alone: no PEFT, no cut, no cache; padded as it pads itself."""
    directory = find_weights(DEFAULT_MODEL).directory
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    model = transformers.AutoModel.from_pretrained(directory).eval()
    batch = tokenizer(TITLES, padding=True, truncation=True, max_length=32, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)


def test_an_untrained_encoder_equals_the_plain_language_model(
    exact: TextEncoder, plain_vectors: torch.Tensor
) -> None:
    assert exact.base_digest == PACKAGES[DEFAULT_MODEL].sha256
    assert exact.splits
    for _ in range(2):  # cold, then from cached activations
        torch.testing.assert_close(exact.encode(TITLES), plain_vectors, atol=2e-6, rtol=0)


def test_it_knows_films(exact: TextEncoder) -> None:
    vectors = exact.encode(TITLES)
    similarity = vectors @ vectors.T - 2 * torch.eye(len(TITLES))
    nearest = similarity.argmax(dim=1).tolist()
    assert [nearest[n] for n in (0, 3, 6, 9)] == [1, 4, 7, 10]


def test_bfloat16_ranks_as_float32_does(exact: TextEncoder) -> None:
    state = stir(exact, size=0.02)
    fine = exact.with_adapter(state)
    coarse = load_encoder(EncoderSettings(dtype="bfloat16")).with_adapter(state)
    vectors, rounded = fine.encode(TITLES), coarse.encode(TITLES)
    assert float((vectors * rounded).sum(dim=1).min()) > 0.999
    assert coarse.encoder_version == fine.encoder_version
    order = (vectors @ vectors.T).argsort(dim=1, descending=True)[:, :2]
    again = (rounded @ rounded.T).argsort(dim=1, descending=True)[:, :2]
    assert torch.equal(order, again)


def test_plain_peft_loads_the_adapter_and_gives_the_same_vectors(
    exact: TextEncoder, tmp_path: Path
) -> None:
    encoder = exact.with_adapter(stir(exact, size=0.05))
    encoder.save_adapter(tmp_path)
    directory = find_weights(DEFAULT_MODEL).directory
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    base = transformers.AutoModel.from_pretrained(directory)
    model = peft.PeftModel.from_pretrained(base, str(tmp_path)).eval()
    batch = tokenizer(TITLES, padding=True, truncation=True, max_length=32, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    expected = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    torch.testing.assert_close(encoder.encode(TITLES), expected, atol=2e-6, rtol=0)
    assert float((expected * exact.encode(TITLES)).sum(dim=1).max()) < 0.9999, "it was trained"
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == DEFAULT_MODEL
    assert (config["r"], config["lora_alpha"]) == (8, 16)
    assert config["layers_to_transform"] == [4, 5]


def test_training_pulls_liked_films_together(exact: TextEncoder) -> None:
    encoder = exact.with_adapter()
    optimiser = torch.optim.AdamW(encoder.trainable_parameters(), lr=2e-3)
    godfather, nemo = TITLES[0], TITLES[5]

    def similarity() -> float:
        one, other = encoder.encode([godfather, nemo])
        return float(one @ other)

    before = similarity()
    for _ in range(10):
        vectors = encoder.embed(TITLES)
        logits = 20 * vectors[0] @ vectors[1:].T
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(4))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert similarity() > before + 0.05


def test_twins_cost_only_their_adapters(exact: TextEncoder) -> None:
    twin = exact.with_adapter()
    ours = {p.data_ptr() for p in exact.adapted.root.parameters()}
    extra = [p for p in twin.adapted.root.parameters() if p.data_ptr() not in ours]
    assert sum(p.nbytes for p in extra) == sum(p.nbytes for p in twin.trainable_parameters())
    assert sum(p.nbytes for p in extra) < 200_000


def test_a_cache_too_small_changes_no_vector(exact: TextEncoder) -> None:
    starved = load_encoder(EncoderSettings(dtype="float32", cache_mb=0))
    torch.testing.assert_close(starved.encode(TITLES), exact.encode(TITLES), atol=2e-6, rtol=0)
    assert starved.cached_texts == 0


@pytest.mark.parametrize("adapter", [Adapter.LORA, Adapter.DORA, Adapter.FULL, Adapter.NONE])
def test_every_adapter_method_starts_from_the_frozen_model(
    adapter: Adapter, exact: TextEncoder
) -> None:
    encoder = load_encoder(EncoderSettings(dtype="float32", adapter=adapter))
    torch.testing.assert_close(encoder.encode(TITLES), exact.encode(TITLES), atol=2e-6, rtol=0)


@pytest.mark.parametrize("recipe", ["adalora", "ia3", "last-layers"])
def test_so_do_the_recipes_methods(recipe: str, exact: TextEncoder) -> None:
    encoder = load_encoder(EncoderSettings(dtype="float32"), method=METHODS[recipe].adapt)
    torch.testing.assert_close(encoder.encode(TITLES), exact.encode(TITLES), atol=2e-6, rtol=0)


def test_every_process_starts_from_the_same_version_whatever_its_hardware() -> None:
    fast, exact = (load_encoder(EncoderSettings(dtype=d)) for d in ("bfloat16", "float32"))
    assert fast.encoder_version == exact.encoder_version
    assert fast.trainable_parameters()[0].dtype is torch.float32
