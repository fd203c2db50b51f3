"""Whether a language model's tokenizer knows the words of a catalogue, or only spells them.

A model that meets unknown tokens or single letters has seen little of that language: its vectors
say little. Knows texts and tokens. Does not load the model.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import transformers

from streamrec.errors import EncoderUnavailable
from streamrec.models.weights import find_weights
from streamrec.settings import EncoderSettings

KNOWS_CHINESE = 3_000
"""Chinese characters in a vocabulary from which on each is a word to it: about as many as a person
reads a newspaper with."""

POOR = 0.5
"""Share of a text's tokens from which on it is read poorly."""


def poorly_read(settings: EncoderSettings, texts: Sequence[str]) -> float:
    """Share of ``texts`` of which at least half of the tokens are unknown, or one letter each.

    Raises EncoderUnavailable when the model cannot be found or its tokenizer not be read.
    """
    weights = find_weights(settings.model)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            weights.directory, local_files_only=True
        )
    except (OSError, ValueError) as error:
        raise EncoderUnavailable(f"{settings.model} cannot be read: {error}") from error
    return share_poorly_read(tokenizer, texts, settings.max_tokens)


def share_poorly_read(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> float:
    """As ``poorly_read``, by a tokenizer that is loaded. 0 where there is no text."""
    chinese = sum(_is_chinese(token) for token in tokenizer.get_vocab()) >= KNOWS_CHINESE
    poor = sum(_poorly(tokenizer, text, max_tokens, chinese) for text in texts)
    return poor / max(1, len(texts))


def _poorly(tokenizer: Any, text: str, max_tokens: int, knows_chinese: bool) -> bool:
    encoded = tokenizer(
        text[: max_tokens * 8],
        add_special_tokens=False,
        truncation=True,
        max_length=max_tokens,
        return_offsets_mapping=True,
    )
    read = [
        (number, text[start:end].strip())
        for number, (start, end) in zip(
            encoded["input_ids"], encoded["offset_mapping"], strict=True
        )
    ]
    words = [(number, piece) for number, piece in read if any(map(str.isalpha, piece))]
    poor = sum(
        number == tokenizer.unk_token_id
        or (_one_letter(piece) and not _known(piece, knows_chinese))
        for number, piece in words
    )
    return bool(words) and poor >= POOR * len(words)


def _one_letter(piece: str) -> bool:
    return sum(not unicodedata.category(character).startswith("M") for character in piece) <= 1


def _known(letter: str, knows_chinese: bool) -> bool:
    return knows_chinese and _is_chinese(letter)


def _is_chinese(token: str) -> bool:
    return len(token) == 1 and "\u4e00" <= token <= "\u9fff"
