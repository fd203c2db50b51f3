"""TextEncoder: vectors, cached layers, adapters over one base."""

from __future__ import annotations

import threading
from pathlib import Path

import peft
import pytest
import torch

from streamrec.errors import GenerationRefused, SettingsError
from streamrec.settings import Pooling
from tests.fakes.language_models import WIDTH, WordTokenizer, stir, tiny_encoder, tiny_model

TEXTS = ["a film", "the good the bad and the ugly", "a", "once upon a time in the west", ""]


def plain_vectors(model: object, texts: list[str], last: bool) -> torch.Tensor:
    """One text at a time through the transformer, no cut, no cache, no padding."""
    rows = []
    for ids in WordTokenizer()(texts, truncation=True, max_length=32)["input_ids"]:
        hidden_TD = model(input_ids=torch.tensor([ids or [1]])).last_hidden_state[0]
        rows.append(hidden_TD[-1] if last else hidden_TD.mean(dim=0))
    return torch.nn.functional.normalize(torch.stack(rows), dim=-1)


@pytest.mark.parametrize(
    ("family", "splits"),
    [("bert", True), ("llama", True), ("qwen2", True), ("gpt2", True), ("t5", False)],
)
def test_vectors_are_those_of_the_plain_model_cold_and_warm(family: str, splits: bool) -> None:
    encoder = tiny_encoder(family)
    model = tiny_model(family).eval()
    with torch.no_grad():
        expected = plain_vectors(model, TEXTS, last=family in {"llama", "qwen2", "gpt2"})
    assert encoder.splits is splits
    for _ in range(2):
        torch.testing.assert_close(encoder.encode(TEXTS), expected, atol=1e-5, rtol=0)
    assert encoder.cached_texts == (len(TEXTS) if splits else 0)


def test_pooling_can_be_overridden() -> None:
    mean = tiny_encoder("llama", pooling=Pooling.MEAN)
    with torch.no_grad():
        expected = plain_vectors(tiny_model("llama").eval(), TEXTS, last=False)
    torch.testing.assert_close(mean.encode(TEXTS), expected, atol=1e-5, rtol=0)
    assert mean.encoder_version != tiny_encoder("llama").encoder_version


def test_a_prompt_stands_before_every_text() -> None:
    plain, prompted = tiny_encoder(), tiny_encoder(prompt="query: ")
    expected = plain.encode([f"query: {text}" for text in TEXTS])
    for _ in range(2):  # cold, then from cached activations
        torch.testing.assert_close(prompted.encode(TEXTS), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(prompted.embed(TEXTS[:2]), expected[:2], atol=1e-5, rtol=0)


def test_a_prompt_makes_another_version() -> None:
    prompts = ["", "query: ", "passage: "]
    versions = {tiny_encoder(prompt=prompt).encoder_version for prompt in prompts}
    assert len(versions) == 3
    assert tiny_encoder(prompt="query: ").encoder_version in versions


def test_a_prompt_that_fills_a_text_is_refused() -> None:
    with pytest.raises(SettingsError, match="no room"):
        tiny_encoder(prompt="one two three four ", max_tokens=4)
    assert tiny_encoder(prompt="one two three ", max_tokens=4).dim == WIDTH


def test_vectors_are_unit_float32_and_in_order() -> None:
    encoder = tiny_encoder()
    many = [f"film number {i} " + "word " * (i % 9) for i in range(300)]
    vectors = encoder.encode(many)
    assert vectors.dtype is torch.float32
    assert vectors.shape == (300, WIDTH)
    assert encoder.dim == WIDTH
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(300))
    torch.testing.assert_close(vectors[17], encoder.encode([many[17]])[0], atol=1e-5, rtol=0)
    assert encoder.encode([]).shape == (0, WIDTH)


def test_embed_has_gradients_for_the_adapter_alone() -> None:
    encoder = tiny_encoder()
    vectors = encoder.embed(TEXTS)
    torch.testing.assert_close(vectors.detach(), encoder.encode(TEXTS), atol=1e-5, rtol=0)
    vectors.pow(3).sum().backward()
    parameters = encoder.trainable_parameters()
    assert parameters
    assert any(bool((p.grad != 0).any()) for p in parameters if p.grad is not None)
    # query and value of two layers: A and B each
    assert sum(p.numel() for p in parameters) == 2 * 2 * 2 * 8 * WIDTH


def test_training_moves_vectors_and_the_version() -> None:
    encoder = tiny_encoder()
    before, version = encoder.encode(TEXTS), encoder.encoder_version
    optimiser = torch.optim.SGD(encoder.trainable_parameters(), lr=1.0)
    losses = []
    for _ in range(3):
        loss = -(encoder.embed(TEXTS[:1]) @ encoder.embed(TEXTS[1:2]).T).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses == sorted(losses, reverse=True)
    assert encoder.encoder_version != version
    assert not torch.equal(encoder.encode(TEXTS), before)


def test_every_process_starts_from_the_same_version() -> None:
    torch.manual_seed(5)
    first = tiny_encoder().encoder_version
    torch.manual_seed(6)
    assert tiny_encoder().encoder_version == first
    assert tiny_encoder(seed=1).encoder_version != first
    assert tiny_encoder(max_tokens=5).encoder_version != first


def test_state_round_trip_is_exact_and_a_copy() -> None:
    encoder = tiny_encoder()
    trained = stir(encoder)
    encoder.load_adapter_state(trained)
    state, vectors = encoder.adapter_state(), encoder.encode(TEXTS)
    encoder.load_adapter_state(stir(encoder, seed=9))
    assert all(torch.equal(state[name], trained[name]) for name in trained)
    encoder.load_adapter_state(state)
    assert torch.equal(encoder.encode(TEXTS), vectors)


@pytest.mark.parametrize("fault", ["missing", "extra", "shape", "nan"])
def test_a_bad_state_is_refused_and_changes_nothing(fault: str) -> None:
    encoder = tiny_encoder()
    version, state = encoder.encoder_version, stir(encoder)
    name = sorted(state)[-1]
    if fault == "missing":
        del state[name]
    elif fault == "extra":
        state["surprise"] = torch.zeros(1)
    elif fault == "shape":
        state[name] = torch.zeros(3, 3)
    else:
        state[name][0, 0] = float("nan")
    with pytest.raises(GenerationRefused):
        encoder.load_adapter_state(state)
    assert encoder.encoder_version == version


def test_twins_share_frozen_weights_and_nothing_else() -> None:
    training = tiny_encoder()
    champion = training.with_adapter()
    expected = champion.encode(TEXTS)
    training.load_adapter_state(stir(training))
    assert torch.equal(champion.encode(TEXTS), expected)
    assert champion.encoder_version != training.encoder_version
    again = champion.with_adapter(training.adapter_state())
    assert again.encoder_version == training.encoder_version
    torch.testing.assert_close(again.encode(TEXTS), training.encode(TEXTS))
    pointers = [
        {p.data_ptr() for p in encoder.adapted.root.parameters()} for encoder in (training, again)
    ]
    own = len(training.trainable_parameters())
    assert len(pointers[0] - pointers[1]) == own
    assert len(pointers[0] & pointers[1]) > 2 * own


def test_encoding_is_undisturbed_by_another_thread_loading_a_twin() -> None:
    serving = tiny_encoder()
    expected = serving.encode(TEXTS)
    stop = threading.Event()

    def load() -> None:
        twin, seed = serving.with_adapter(), 0
        while not stop.is_set():
            twin.load_adapter_state(stir(twin, seed=seed))
            twin.encode(TEXTS)
            seed += 1

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for _ in range(50):
            torch.testing.assert_close(serving.encode(TEXTS), expected, atol=1e-6, rtol=0)
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
def test_plain_peft_loads_what_we_save(family: str, tmp_path: Path) -> None:
    encoder = tiny_encoder(family)
    encoder.load_adapter_state(stir(encoder))
    encoder.save_adapter(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    plain = peft.PeftModel.from_pretrained(tiny_model(family), str(tmp_path)).eval()
    with torch.no_grad():
        expected = plain_vectors(plain, TEXTS, last=family == "llama")
    torch.testing.assert_close(encoder.encode(TEXTS), expected, atol=1e-5, rtol=0)
    other = tiny_encoder(family)
    other.load_adapter(tmp_path)
    assert other.encoder_version == encoder.encoder_version


def test_a_damaged_adapter_file_is_refused(tmp_path: Path) -> None:
    encoder = tiny_encoder()
    with pytest.raises(GenerationRefused):
        encoder.load_adapter(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(GenerationRefused):
        encoder.load_adapter(tmp_path)
