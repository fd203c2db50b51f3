"""Words of titles in scripts with and without blanks."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.core.state.words import TITLE_WORDS, words_of


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("The Matrix (1999)", ["the", "matrix", "1999"]),
        ("Star Trek: star trek", ["star", "trek"]),
        ("流浪地球2", ["流浪", "浪地", "地球", "2"]),  # Chinese
        ("三体：黑暗森林", ["三体", "黑暗", "暗森", "森林"]),
        ("iPhone手机壳 透明", ["iphone", "手机", "机壳", "透明"]),
        ("𠮷野家", ["𠮷野", "野家"]),  # beyond the basic plane
        ("千と千尋", ["千と", "と千", "千尋"]),  # Japanese
        ("ﾊﾘｰ ＡＢＣ", ["ハリ", "リー", "abc"]),  # half and full width
        ("ยิ่งใหญ่", ["ยิ่ง", "งใ", "ให", "หญ่"]),  # Thai: a letter keeps its marks
        ("ລາວ", ["ລາ", "າວ"]),  # Lao
        ("기생충 영화", ["기생충", "영화"]),  # Korean has blanks
        ("हिन्दी फ़िल्म", ["हिन्दी", unicodedata.normalize("NFC", "फ़िल्म")]),
        ("Cafe\u0301 CAFÉ", ["café"]),  # one letter, written in two ways
        ("8½, Alien³", ["8½", "alien³"]),
        ("", []),
        ("…!?", []),
    ],
)
def test_words(title: str, words: list[str]) -> None:
    assert words_of(title) == words


@pytest.mark.parametrize(
    ("one", "other", "stranger"),
    [
        ("流浪地球", "流浪地球2：重返地球", "你好李焕英"),
        ("ハリー・ポッターと賢者の石", "ハリー・ポッターと秘密の部屋", "千と千尋の神隠し"),
        ("ฉลาดเกมส์โกง", "ฉลาดเกมส์โกง ซีรีส์", "สี่แพร่ง"),
    ],
)
def test_a_sequel_shares_words_and_a_stranger_does_not(one: str, other: str, stranger: str) -> None:
    assert len(set(words_of(one)) & set(words_of(other))) >= 3
    assert not set(words_of(one)) & set(words_of(stranger))


@given(st.text(max_size=80))
def test_any_text_has_few_words_and_the_same_in_every_form(title: str) -> None:
    words = words_of(title)
    assert len(words) == len(set(words)) <= TITLE_WORDS
    assert all(word and not word.isspace() for word in words)
    assert words_of(unicodedata.normalize("NFC", title)) == words
