"""Which questions say the last one again."""

from __future__ import annotations

import pytest

from streamrec.core.replies.conversation import rephrases


@pytest.mark.parametrize(
    ("before", "query"),
    [
        ("a drama by the sea", "a drama by the sea"),
        ("a drama by the sea", "drama at sea please"),
        ("a drama by the sea", "a quiet drama by the sea with a happy end"),
        ("funny comedies for kids", "a funny comedy for my kid"),
        ("something with robots", "no, friendly robots and not war machines"),
        ("a drama by the sea", "something else"),
        ("a drama by the sea", "another one?"),
        ("was mit Krimi", "nein, Krimi aus Schweden bitte"),
        ("想看科幻片", "我想看科幻片"),
        ("想看科幻片", "不是，要新的科幻片"),
    ],
)
def test_the_same_again(before: str, query: str) -> None:
    assert rephrases(query, before)


@pytest.mark.parametrize(
    ("before", "query"),
    [
        ("a drama by the sea", "who made it and in which year"),
        ("a drama by the sea", "now a western for my father"),
        ("a drama by the sea", ""),
        ("", ""),
        ("", "a drama by the sea"),
        ("funny comedies for kids", "no idea what to cook tonight"),
        ("想看科幻片", "今天天气怎么样"),
    ],
)
def test_something_new(before: str, query: str) -> None:
    assert not rephrases(query, before)
