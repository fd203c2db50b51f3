"""A server of somebody else's: what it forgets, refuses or does not answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamrec.errors import GenerationRefused, Unavailable
from streamrec.infra.inference.openai_server import ServedGenerator
from streamrec.infra.inference.reply_pattern import reply_pattern
from streamrec.models.writer import CausalWriter
from streamrec.ports import Grammar, Wanted
from tests.fakes.causal_models import tiny_writer
from tests.fakes.inference_server import FakeInferenceServer

MODEL = tiny_writer()
WANTED = Wanted("Answer.", "A story", "g1", Grammar(("1", "A")), seed=1)


@pytest.fixture
def server() -> Iterator[FakeInferenceServer]:
    made = FakeInferenceServer(CausalWriter(MODEL))
    yield made
    made.close()


@pytest.fixture
def generator(server, tmp_path) -> Iterator[ServedGenerator]:
    MODEL.save_adapter(tmp_path / "g1")
    made = ServedGenerator(server.url)
    made.load("g1", tmp_path / "g1")
    yield made
    made.close()


def test_a_server_that_has_restarted_is_given_the_adapter_again(generator, server) -> None:
    before = generator.generate([WANTED])[0].text
    server.forget()
    assert generator.generate([WANTED])[0].text == before


def test_another_worker_may_have_loaded_it_first(server, generator, tmp_path) -> None:
    second = ServedGenerator(server.url)
    second.load("g1", tmp_path / "g1")
    assert second.status().loaded == ("g1",)
    second.close()


def test_a_busy_server_is_tried_again_by_whoever_asked(generator, server) -> None:
    for status in (429, 503):
        server.busy.append(status)
        with pytest.raises(Unavailable, match=str(status)):
            generator.generate([WANTED])
    server.busy.append(429)
    with pytest.raises(Unavailable, match="429"):
        generator.load("g2", Path("/nowhere"))
    assert generator.status().writing == 0


def test_nobody_there_is_said_with_the_address() -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        ServedGenerator("http://127.0.0.1:1").load("g1", Path("/nowhere"))


def test_credentials_are_told_nobody() -> None:
    with pytest.raises(Unavailable) as told:
        ServedGenerator("http://ann:secret@127.0.0.1:1").listed()
    assert "secret" not in str(told.value)


def test_what_the_server_refuses_is_refused_with_its_words(generator, tmp_path) -> None:
    (tmp_path / "g2").mkdir()
    with pytest.raises(GenerationRefused, match="cannot be read"):
        generator.load("g2", tmp_path / "g2")


def test_tokens_come_from_who_knows_them(server, generator, tmp_path) -> None:
    assert generator.generate([WANTED])[0].token_ids == ()
    knowing = ServedGenerator(server.url, ids=lambda one, text: ((1,), (len(text),)))
    knowing.load("g1", tmp_path / "g1")
    one = knowing.generate([WANTED])[0]
    assert (one.prompt_ids, one.token_ids, one.log_probability) == ((1,), (len(one.text),), None)
    knowing.close()


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("Try [[1]].", True),
        ("Try [[1]] or [[A]], as you like", True),
        ("As you had [[A]], try [[1]]", True),
        ("As you had [[A]]", False),
        ("Try nothing", False),
        ("Try [[2]]", False),
        ("Try [1] and [[1]]", False),
        ("Try\n[[1]]", False),
        ("[[1]] [[A]] [[1]] [[A]]", False),
        ("x" * 200 + "[[1]]", False),
    ],
)
def test_the_pattern_says_what_the_grammar_does(text, fits) -> None:
    assert bool(re.fullmatch(reply_pattern(Grammar(("1", "A"))), text)) is fits
