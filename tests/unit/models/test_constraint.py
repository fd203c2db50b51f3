"""Whatever a model prefers, a reply is of its grammar."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.errors import SettingsError
from streamrec.models.constraint import START, Constraint, TokenVocabulary
from streamrec.ports import Grammar
from tests.fakes.causal_models import END, tokenizer

TOKENIZER = tokenizer()
SIZE = len(TOKENIZER) + 3
VOCABULARY = TokenVocabulary(TOKENIZER, SIZE, {2})
SLOT = re.compile(r"\[\[(\w+)\]\]")
GRAMMARS = st.builds(
    Grammar,
    slots=st.lists(st.sampled_from(["1", "2", "3", "10", "A", "B"]), unique=True).map(tuple),
    max_tokens=st.integers(12, 40),
    least=st.integers(0, 2),
    most=st.integers(2, 3),
)


def walk(constraint: Constraint, rng: random.Random, eager: float) -> list[int]:
    """Tokens drawn from what is allowed; ``eager``: how often brackets and the end are taken."""
    place, tokens = START, []
    while len(tokens) < constraint.grammar.max_tokens:
        may = constraint.allowed(place).nonzero().flatten().tolist()
        special = [t for t in may if t == 2 or "[" in TOKENIZER.decode([t])]
        token = rng.choice(special if special and rng.random() < eager else may)
        tokens.append(token)
        place = constraint.after(place, token)
        if token == 2:
            break
    return tokens


@settings(max_examples=60, deadline=None)
@given(GRAMMARS, st.randoms(use_true_random=False), st.floats(0, 0.6))
def test_any_allowed_walk_is_a_reply_of_the_grammar(grammar, rng, eager) -> None:
    constraint = Constraint(VOCABULARY, grammar)
    tokens = walk(constraint, rng, eager)
    text = TOKENIZER.decode([t for t in tokens if t != 2])
    named = SLOT.findall(text)
    finished = tokens[-1] == 2
    listed = [label for label in named if label.isdecimal()]
    owed = min(grammar.least, sum(label.isdecimal() for label in grammar.slots))
    assert set(named) <= set(grammar.slots)
    assert len(set(named)) == len(named) <= grammar.most
    if finished or owed <= 1:
        assert len(listed) >= owed
    rest = SLOT.sub("", text)
    cut = re.sub(r"\[\[?[0-9A-Z]*\]?$", "", rest) if not finished else rest
    assert not set(cut) & set("[]<>{}|\\\n")
    rows = constraint.masks(tokens)
    assert rows.shape == (len(tokens), SIZE)
    assert all(row[token] for row, token in zip(rows, tokens, strict=True))


def test_what_is_not_of_the_grammar_is_refused() -> None:
    constraint = Constraint(VOCABULARY, Grammar(("1",)))
    for text in ("[[2]]", f"Nothing.{END}", "a ] b", "one\ntwo", "[[1]] [[1]]"):
        with pytest.raises(ValueError, match="not of the grammar"):
            constraint.masks(TOKENIZER(text, add_special_tokens=False)["input_ids"])


def test_what_the_user_had_is_not_what_is_owed() -> None:
    grammar = Grammar(("1", "A", "B"), max_tokens=20, least=1, most=2)
    constraint = Constraint(VOCABULARY, grammar)
    place = START
    for token in constraint.tokens("[[A]] or [[1]]")[:-1]:
        assert constraint.allowed(place)[token]
        place = constraint.after(place, token)
    assert constraint.allowed(place)[2]
    for text in ("[[A]]", "[[A]] or [[B]]", "[[A]] or [[B]] or [[1]]"):
        with pytest.raises(ValueError, match="not of the grammar"):
            constraint.tokens(text)


def test_a_slot_is_opened_when_no_more_than_its_room_is_left() -> None:
    constraint = Constraint(VOCABULARY, Grammar(("1", "2"), max_tokens=12))
    place, plain = START, TOKENIZER("a")["input_ids"][0]
    while constraint.allowed(place)[plain]:
        place = constraint.after(place, plain)
    may = constraint.allowed(place).nonzero().flatten().tolist()
    assert {TOKENIZER.decode([t]).strip() for t in may} <= {"[", "[["}
    assert 0 < place.written < 12


def test_a_reply_needs_room_and_a_tokenizer_with_brackets() -> None:
    with pytest.raises(ValueError, match="met by no reply"):
        Grammar(("1",), least=3, most=2)
    with pytest.raises(SettingsError, match="cannot write"):
        Constraint(TokenVocabulary(_Deaf(), 4, {0}), Grammar(("1",)))


class _Deaf:
    def __len__(self) -> int:
        return 4

    def batch_decode(self, rows):
        return ["?"] * len(rows)

    def get_added_vocab(self):
        return {}

    def __call__(self, text, **how):
        return {"input_ids": [1]}

    def decode(self, tokens):
        return "?"
