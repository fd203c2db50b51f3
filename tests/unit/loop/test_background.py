"""Threads for the length of a block: they end with it, and what ended one early is told."""

from __future__ import annotations

import logging
import threading

import pytest

from streamrec.errors import Unavailable
from streamrec.loop.background import Background, running
from tests.harness.waiting import PATIENCE_S, eventually


def test_they_run_as_long_as_the_block() -> None:
    stop, steps = threading.Event(), []
    thread = Background("counter", lambda: steps.append(1), 0.001, stop)
    with running(stop, thread):
        eventually(lambda: len(steps) > 2)
        assert not stop.is_set()
    assert stop.is_set()
    done = len(steps)
    thread.join()
    assert len(steps) == done


def test_what_ends_one_of_them_ends_the_block_and_is_raised() -> None:
    stop = threading.Event()

    def fail() -> None:
        raise ValueError("unforeseen")

    with (
        pytest.raises(ValueError, match="unforeseen"),
        running(stop, Background("bad", fail, 0.001, stop)),
    ):
        assert stop.wait(PATIENCE_S)


def test_an_error_of_the_block_itself_comes_first() -> None:
    stop = threading.Event()

    def fail() -> None:
        raise ValueError("unforeseen")

    def block() -> None:
        with running(stop, Background("bad", fail, 0.001, stop)):
            assert stop.wait(PATIENCE_S)
            raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        block()


def test_what_is_away_is_said_once_and_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stop, away = threading.Event(), [Unavailable("Redis is away", 0.001) for _ in range(5)]
    steps: list[int] = []

    def step() -> None:
        if away:
            raise away.pop()
        steps.append(1)

    with running(stop, Background("mirror", step, 0.001, stop)):
        eventually(lambda: steps)
    assert caplog.text.count("Redis is away") == 1
    assert "mirror: back" in caplog.text
