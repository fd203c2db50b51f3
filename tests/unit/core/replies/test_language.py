"""The language of a few words."""

from __future__ import annotations

import pytest

from streamrec.core.replies.language import fits, language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("something quiet for the evening", "en"),
        ("was mit Krimi, aber nicht zu lang", "de"),
        ("une comédie pour ce soir avec ma mère", "fr"),
        ("quiero algo con mi familia", "es"),
        ("vorrei qualcosa di leggero", "it"),
        ("quero um filme para você", "pt"),
        ("iets met het hele gezin", "nl"),
        ("något att se med barnen", "sv"),
        ("chcę coś dla dzieci", "pl"),
        ("bana bir film göster", "tr"),
        ("想看一部科幻片", "zh"),
        ("面白い映画が見たい", "ja"),
        ("재미있는 영화", "ko"),
        ("хочу комедию", "ru"),
        ("щось цікаве", "uk"),
        ("θέλω μια ταινία", "el"),
        ("أريد فيلما", "ar"),
        ("אני רוצה סרט", "he"),
        ("एक फिल्म", "hi"),
        ("อยากดูหนัง", "th"),
        ("thriller 1999", ""),
        ("", ""),
        ("12 :-)", ""),
    ],
)
def test_it_is_told_or_left_open(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("text", "language", "does"),
    [
        ("Try  now.", "en", True),
        ("Das ist  für dich.", "en", False),
        ("Try  now.", "de", False),
        ("Das ist  für dich.", "de", True),
        ("Try this.", "zh", False),
        ("我推荐  。", "zh", True),
        ("我推荐  。", "en", False),
        (" .", "en", True),
        ("whatever", "tlh", True),
    ],
)
def test_a_reply_fits_or_does_not(text: str, language: str, does: bool) -> None:
    assert fits(text, language) is does
