"""Whether a tokenizer knows a catalogue's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from streamrec.cli.doctor import CheckResult, Finding
from streamrec.cli.doctor_texts import language_of
from streamrec.core.events import Item
from streamrec.models.tokenizer_fit import poorly_read, share_poorly_read
from streamrec.settings import Settings

CHINESE = "流浪地球：在不远的未来，太阳即将毁灭"


def pieces(vocabulary: Sequence[str]) -> Any:
    """A word-piece tokenizer that knows these."""
    numbered = {token: n for n, token in enumerate(["[UNK]", *vocabulary])}
    made = Tokenizer(models.WordPiece(numbered, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(strip_accents=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]")


@pytest.mark.encoder
@pytest.mark.parametrize(
    ("text", "poor"),
    [
        ("The Matrix. Action. A film", False),
        ("Les Misérables", False),
        ("iPhone 手机壳 case for the iPhone", False),
        ("1984, 2001", False),
        (CHINESE, True),
        ("千と千尋の神隠し", True),
        ("ฉลาดเกมส์โกง", True),
        ("Преступление и наказание", True),
    ],
)
def test_the_default_model_is_one_of_english(text: str, poor: bool) -> None:
    assert poorly_read(Settings().encoder, [text]) == float(poor)


def test_a_vocabulary_of_chinese_characters_knows_chinese() -> None:
    characters = [chr(code) for code in range(0x4E00, 0x4E00 + 20_000)]
    assert share_poorly_read(pieces(characters), [CHINESE], 32) == 0
    few = [*CHINESE, *characters[:500]]
    assert share_poorly_read(pieces(few), [CHINESE], 32) == 1


def test_a_model_with_words_of_a_script_without_blanks_knows_them() -> None:
    thai = "ฉลาดเกมส์โกง"
    assert share_poorly_read(pieces(["ฉลาด", "##เกมส์", "##โกง"]), [thai], 32) == 0
    assert share_poorly_read(pieces([thai[0], *(f"##{c}" for c in thai)]), [thai], 32) == 1


def test_no_texts_are_not_poor() -> None:
    assert share_poorly_read(pieces(["a"]), [], 32) == 0


@pytest.mark.encoder
def test_the_doctor_names_a_catalogue_that_the_model_cannot_read() -> None:
    def found(*titles: str) -> list[Finding]:
        return list(language_of(Settings().encoder, [Item(title, title) for title in titles]))

    (told,) = found("流浪地球", "你好李焕英", "The Matrix")
    assert told.verdict is CheckResult.NOTE
    assert "67%" in told.detail
    assert "docs/languages.md" in told.remedy
    (told,) = found("The Matrix", "Alien", "流浪地球")
    assert told.verdict is CheckResult.OK
    assert found() == []
