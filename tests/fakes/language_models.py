"""Language models small enough to build in a test: random weights, real architectures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from streamrec.models.encoder import TextEncoder
from streamrec.models.loading import build_encoder
from streamrec.models.lora import Adapt, adapt
from streamrec.models.vector_cache import VectorCache
from streamrec.settings import EncoderSettings

WIDTH, DEPTH = 32, 4


class WordTokenizer:
    """One token per word, from its letters; what ``Base.tokens`` needs of a tokenizer."""

    eos_token_id = 1

    def __call__(
        self, texts: Sequence[str], *, truncation: bool, max_length: int, **_: object
    ) -> dict[str, list[list[int]]]:
        assert truncation
        rows = [[2 + sum(map(ord, word)) % 90 for word in text.split()] for text in texts]
        return {"input_ids": [row[:max_length] for row in rows]}


def tiny_model(family: str, seed: int = 0) -> Any:
    shape = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": 4}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if family in {"bert", "mpnet"}:
            config, model = {
                "bert": (transformers.BertConfig, transformers.BertModel),
                "mpnet": (transformers.MPNetConfig, transformers.MPNetModel),
            }[family]
            return model(config(vocab_size=97, intermediate_size=64, **shape))
        if family == "distilbert":
            return transformers.DistilBertModel(
                transformers.DistilBertConfig(
                    vocab_size=97, dim=WIDTH, hidden_dim=64, n_layers=DEPTH, n_heads=4
                )
            )
        if family in {"llama", "qwen2", "qwen3"}:
            config, model = {
                "llama": (transformers.LlamaConfig, transformers.LlamaModel),
                "qwen2": (transformers.Qwen2Config, transformers.Qwen2Model),
                "qwen3": (transformers.Qwen3Config, transformers.Qwen3Model),
            }[family]
            return model(
                config(vocab_size=97, intermediate_size=64, num_key_value_heads=2, **shape)
            )
        if family == "gpt2":
            return transformers.GPT2Model(
                transformers.GPT2Config(
                    vocab_size=97,
                    n_embd=WIDTH,
                    n_layer=DEPTH,
                    n_head=4,
                    bos_token_id=1,
                    eos_token_id=1,
                )
            )
        assert family == "t5"
        return transformers.T5EncoderModel(
            transformers.T5Config(
                vocab_size=97, d_model=WIDTH, d_kv=8, d_ff=64, num_layers=DEPTH, num_heads=4
            )
        )


def save_tiny_model(family: str, directory: Path, seed: int = 0) -> Path:
    """Weights and a word-level tokenizer, as a hub snapshot would hold them."""
    model = tiny_model(family, seed)
    if family == "t5":  # the hub holds both halves
        model = transformers.T5Model(transformers.T5Config(**model.config.to_dict()))
    model.save_pretrained(directory)
    words = ["[PAD]", "[UNK]", *(f"word{n}" for n in range(90))]
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(directory)
    return directory


def tiny_encoder(
    family: str = "bert",
    seed: int = 0,
    *,
    method: Adapt = adapt,
    kept: VectorCache | None = None,
    **settings: Any,
) -> TextEncoder:
    return build_encoder(
        tiny_model(family, seed),
        WordTokenizer(),
        EncoderSettings(**settings),
        name=f"tiny-{family}",
        digest=f"{seed:064d}",
        method=method,
        kept=kept,
    )


def stir(encoder: TextEncoder, seed: int = 1, size: float = 0.3) -> dict[str, torch.Tensor]:
    """Adapter weights as if trained: the encoder's own plus noise."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: tensor + size * torch.randn(tensor.shape, generator=generator)
        for name, tensor in encoder.adapter_state().items()
    }
