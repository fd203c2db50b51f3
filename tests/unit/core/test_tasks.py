"""Names of tasks, and what is named after them. Ranking keeps the names of version 0.1."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamrec.core import tasks, topics
from streamrec.core.tasks import RANKING
from streamrec.errors import UserError


def test_ranking_is_called_what_version_01_called_it() -> None:
    assert tasks.slot(RANKING) == b"default"
    assert tasks.directory(Path("state"), RANKING) == Path("state")
    assert tasks.key("trainer", RANKING) == "trainer"
    assert topics.of_task(topics.TRAINING_BATCHES, RANKING) == "training-batches"


def test_every_other_task_has_names_of_its_own() -> None:
    assert tasks.slot("copy") == b"copy"
    assert tasks.directory(Path("state"), "copy") == Path("state/copy")
    assert tasks.key("trainer", "copy") == "trainer-copy"
    assert topics.of_task("example", "copy") == "example@copy"


@pytest.mark.parametrize("task", [RANKING, "copy"])
def test_a_slot_names_its_task(task) -> None:
    assert tasks.of_slot(tasks.slot(task)) == task


@pytest.mark.parametrize("name", [RANKING, "copy", "next-query", "top3"])
def test_a_name_that_can_be_a_directory_and_a_key(name) -> None:
    assert tasks.valid(name)
    assert tasks.checked(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "Copy", "a/b", "..", "3top", "-x", "x-", "a b", "default", "all", "snapshots", "x" * 33],
)
def test_what_is_taken_or_cannot_be_a_directory_is_refused(name) -> None:
    assert not tasks.valid(name)
    with pytest.raises(UserError, match="no name of a task"):
        tasks.checked(name)


def test_a_mini_batch_is_its_tasks_by_its_key() -> None:
    assert tasks.of_batch_key(b"copy/3") == "copy"
    for key in (None, b"", b"0", b"\xff"):
        assert tasks.of_batch_key(key) == RANKING
