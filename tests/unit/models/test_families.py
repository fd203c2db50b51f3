"""Any base model: one test per family of transformers, from files on disk to a trained adapter.

Random weights of real architectures, read as a hub snapshot would be.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import transformers

from streamrec.errors import EncoderUnavailable, SettingsError
from streamrec.models.encoder import TextEncoder
from streamrec.models.loading import load_encoder
from streamrec.settings import EncoderSettings, Pooling
from tests.fakes.language_models import DEPTH, WIDTH, save_tiny_model

TEXTS = ["word1 word2 word3", "word4", "word5 word6 word7 word8 word9", ""]


@dataclass(frozen=True)
class Family:
    name: str
    pooling: Pooling  # what "auto" means for it
    splits: bool = True  # the layers below the adapter are cached

    def __str__(self) -> str:
        return self.name


FAMILIES = [
    Family("bert", Pooling.MEAN),
    Family("distilbert", Pooling.MEAN),
    Family("mpnet", Pooling.MEAN),
    Family("gpt2", Pooling.LAST),
    Family("llama", Pooling.LAST),
    Family("qwen2", Pooling.LAST),
    Family("qwen3", Pooling.LAST),
    Family("t5", Pooling.MEAN, splits=False),
]


def loaded(directory: Path, pooling: Pooling = Pooling.AUTO) -> TextEncoder:
    return load_encoder(EncoderSettings(model=str(directory), dtype="float32", pooling=pooling))


def plain_vectors(directory: Path, family: Family, pooling: Pooling) -> torch.Tensor:
    """transformers alone, one text at a time: no adapter, no cut, no cache, no padding."""
    loader = transformers.T5EncoderModel if family.name == "t5" else transformers.AutoModel
    model = loader.from_pretrained(directory).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    rows = []
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"] or [tokenizer.eos_token_id or 0]
        with torch.no_grad():
            hidden_TD = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        rows.append(
            {Pooling.CLS: hidden_TD[0], Pooling.LAST: hidden_TD[-1]}.get(pooling, hidden_TD.mean(0))
        )
    return torch.nn.functional.normalize(torch.stack(rows), dim=-1)


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_vectors_are_those_of_the_plain_model(family: Family, tmp_path: Path) -> None:
    save_tiny_model(family.name, tmp_path)
    for wish in Pooling:
        pooling = family.pooling if wish is Pooling.AUTO else wish
        encoder = loaded(tmp_path, wish)
        assert (encoder.base_name, encoder.dim) == (str(tmp_path), WIDTH)
        assert encoder.splits is family.splits
        expected = plain_vectors(tmp_path, family, pooling)
        for _ in range(2):  # cold, then from cached activations
            torch.testing.assert_close(encoder.encode(TEXTS), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_lora_trains_the_last_layers_and_survives_the_disk(family: Family, tmp_path: Path) -> None:
    save_tiny_model(family.name, tmp_path / "base")
    encoder = loaded(tmp_path / "base")
    fresh = encoder.encode(TEXTS)
    optimiser = torch.optim.AdamW(encoder.trainable_parameters(), lr=0.1)
    losses = []
    for _ in range(10):
        one_D, other_D = encoder.embed(TEXTS[:2])
        loss = -one_D @ other_D
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    trained = {name.split(".lora_")[0] for name in encoder.adapter_state()}
    depths = {part for name in trained for part in name.split(".") if part.isdigit()}
    assert {str(DEPTH - 1), str(DEPTH - 2)} <= depths  # T5 numbers a layer's parts too
    vectors = encoder.encode(TEXTS)
    assert not torch.allclose(vectors, fresh, atol=1e-5)
    encoder.save_adapter(tmp_path / "adapter")
    again = loaded(tmp_path / "base")
    again.load_adapter(tmp_path / "adapter")
    assert again.encoder_version == encoder.encoder_version
    torch.testing.assert_close(again.encode(TEXTS), vectors, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("word", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, Pooling.CLS),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, Pooling.MEAN),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, Pooling.MEAN),
        ({"pooling_mode_lasttoken": True, "include_prompt": True}, Pooling.LAST),
        ({"embedding_dimension": 32, "pooling_mode": "cls"}, Pooling.CLS),
    ],
    ids=["cls", "mean", "mean of another length", "last", "as written since 2026"],
)
def test_a_model_is_pooled_as_its_own_files_say(
    word: dict[str, object], pooling: Pooling, tmp_path: Path
) -> None:
    save_tiny_model("bert", tmp_path)
    said = loaded(tmp_path, pooling)
    other = Pooling.LAST if pooling is Pooling.MEAN else Pooling.MEAN
    write_pooling(tmp_path, word)
    assert torch.equal(loaded(tmp_path).encode(TEXTS), said.encode(TEXTS))
    assert loaded(tmp_path).encoder_version == said.encoder_version
    overruled = loaded(tmp_path, other).encode(TEXTS)
    assert not torch.allclose(overruled, said.encode(TEXTS), atol=1e-3)


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ({"pooling_mode_max_tokens": True}, "max_tokens"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "cls_token and mean"),
        ({"pooling_mode": ["cls", "max"]}, "'cls', 'max'"),
        ({"pooling_mode_mean_tokens": False}, "nothing"),
    ],
)
def test_pooling_that_is_not_offered_is_refused_unless_overruled(
    word: dict[str, object], named: str, tmp_path: Path
) -> None:
    write_pooling(save_tiny_model("bert", tmp_path), word)
    with pytest.raises(SettingsError, match=named):
        loaded(tmp_path)
    assert loaded(tmp_path, Pooling.MEAN).dim == WIDTH


def test_pooling_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    write_pooling(save_tiny_model("bert", tmp_path), {})
    (tmp_path / "1_Pooling" / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(EncoderUnavailable, match="cannot be read"):
        loaded(tmp_path)
    (tmp_path / "1_Pooling" / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(EncoderUnavailable, match="cannot be read"):
        loaded(tmp_path)


def write_pooling(directory: Path, word: dict[str, object]) -> None:
    """As sentence-transformers says it beside a model's weights."""
    (directory / "1_Pooling").mkdir()
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(word), encoding="utf-8")
