"""Language models that write, small enough to build in a test: random weights, real tokenizers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE

from streamrec.models.causal import CausalModel, build_causal, reply_model
from streamrec.settings import EncoderSettings

END = "<|im_end|>"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
WORDS = [
    "You might like [[1]] or [[2]], as you have liked [[A]]. What about [[3]]?",
    "Something funny, not too long: [[1]]. A quiet story for tonight.",
]


@lru_cache
def tokenizer() -> Any:
    """Byte-level, as most models have it; ``[[`` and ``]]`` are tokens, with and without space."""
    bpe = Tokenizer(BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        WORDS * 4,
        trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=["<|endoftext|>", "<|im_start|>", END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=END, chat_template=TEMPLATE
    )


def tiny_writer(seed: int = 0, **settings: Any) -> CausalModel:
    """A Llama of four layers that writes noise."""
    asked = reply_model(EncoderSettings(**settings), "tiny")
    return build_causal(_llama(seed), tokenizer(), asked, name="tiny", digest=f"{seed:064d}")


def save_tiny_writer(directory: Path, seed: int = 0) -> Path:
    """The same, as a hub snapshot would hold it."""
    _llama(seed).save_pretrained(directory)
    tokenizer().save_pretrained(directory)
    return directory


def _llama(seed: int) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = transformers.LlamaConfig(
            vocab_size=len(tokenizer()) + 3,  # as padded embeddings are
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            eos_token_id=2,
            tie_word_embeddings=True,
            initializer_range=0.2,
        )
        return transformers.LlamaForCausalLM(config)


def stirred(model: CausalModel, seed: int = 1, size: float = 0.3) -> dict[str, torch.Tensor]:
    """Adapter weights as if trained: the model's own plus noise."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: tensor + size * torch.randn(tensor.shape, generator=generator)
        for name, tensor in model.adapter_state().items()
    }
