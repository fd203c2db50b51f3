from __future__ import annotations

import pytest

from streamrec.core.dead_letters import (
    DeadLetterPosition,
    DeadLetterRecord,
    DeadLetterSelection,
    Origin,
    advice,
    counts,
    parse_age_ms,
    parse_name,
)
from streamrec.core.events import DeadLetter
from streamrec.errors import (
    HandlingFailed,
    InvalidField,
    Malformed,
    TooLarge,
    UnknownSchema,
    UserError,
)


def dead_letter(topic="events", code="malformed", at_ms=1000, reason="why", value=b"v"):
    return DeadLetter(topic, 1, 7, b"k", value, code, reason, at_ms)


@pytest.mark.parametrize(
    ("name", "found"),
    [("0:17", DeadLetterPosition(0, 17)), ("user-updates:2:0", Origin("user-updates", 2, 0))],
)
def test_both_names_of_a_letter_are_read_and_printed_alike(name, found):
    assert parse_name(name) == found
    assert str(found) == name


@pytest.mark.parametrize("name", ["", "17", "0:", ":1", "a:b", "events:1:x", "e:v:1:2", "0:-1"])
def test_what_names_no_letter_says_what_would(name):
    with pytest.raises(UserError, match="PARTITION:OFFSET"):
        parse_name(name)


def test_an_unknown_topic_is_named_with_the_known_ones():
    with pytest.raises(UserError, match="'event' is no topic; expected one of items, events"):
        parse_name("event:0:1")


def test_ages():
    assert parse_age_ms("30s") == 30_000
    assert parse_age_ms("1.5h") == 5_400_000
    for text in ("", "5", "h", "-1h", "1w"):
        with pytest.raises(UserError, match="no length of time"):
            parse_age_ms(text)


def test_a_choice_narrows_by_what_it_names():
    letter = dead_letter()
    assert DeadLetterSelection().takes(letter)
    assert DeadLetterSelection("events", "malformed", 1000).takes(letter)
    for other in (
        DeadLetterSelection("items"),
        DeadLetterSelection(code="too-large"),
        DeadLetterSelection(since_ms=1001),
    ):
        assert not other.takes(letter)


def test_letters_are_counted_by_topic_and_code_the_most_frequent_first():
    letters = [
        DeadLetterRecord(DeadLetterPosition(0, n), dead_letter(topic, code))
        for n, (topic, code) in enumerate(
            [("items", "malformed"), ("events", "too-large"), ("events", "too-large")]
        )
    ]
    assert list(counts(letters).items()) == [
        (("events", "too-large"), 2),
        (("items", "malformed"), 1),
    ]


def test_every_code_has_advice_of_its_own():
    codes = [
        kind.code for kind in (Malformed, UnknownSchema, InvalidField, TooLarge, HandlingFailed)
    ]
    found = {advice(dead_letter(code=code)) for code in [*codes, "unheard-of"]}
    assert len(found) == len(codes) + 1
    wrong_key = dead_letter(code="invalid-field", reason="user 'u' belongs to partition 2; …")
    assert "--key" in advice(wrong_key)
