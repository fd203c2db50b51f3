"""Personal data is known by its form; years, dates and prices are left."""

from __future__ import annotations

import pytest

from streamrec.core.replies.personal import masked, passes_luhn


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("ana.b+x@mail.example.org", "(e-mail)"),
        ("ana(at)example.org", "(e-mail)"),
        ("pay 4111 1111 1111 1111 now", "pay (card) now"),
        ("5500-0000-0000-0004", "(card)"),
        ("4111111111111112", "4111111111111112"),
        ("+49 (0)30 1234567!", "(phone)!"),
        ("030/1234567", "(phone)"),
        ("(555) 123-4567", "(phone)"),
        ("555-123-4567", "(phone)"),
        ("13812345678", "(phone)"),
        ("138 1234 5678", "(phone)"),
    ],
)
def test_hidden(text: str, hidden: str) -> None:
    assert masked(text) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "2001: A Space Odyssey (1968)",
        "1984 and 2010-2012",
        "on 01.02.2024 or 2024-02-01",
        "1,234,567 people for $1000000",
        "me @ home",
        "0000000000000000",
        "555-1234",
    ],
)
def test_left(text: str) -> None:
    assert masked(text) == text


def test_the_check_digit() -> None:
    assert passes_luhn("79927398713")
    assert not any(passes_luhn(f"7992739871{last}") for last in "012456789")
