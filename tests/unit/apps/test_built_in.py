"""What this version can carry."""

from __future__ import annotations

import pytest

from streamrec.apps import clients
from streamrec.apps.built_in import TASKS, built_in
from streamrec.errors import UserError


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_found_by_its_name_and_its_mini_batches_can_be_read(name: str) -> None:
    source = built_in(name).examples
    assert source.task == name
    assert clients.FORMATS[name].feature_set == source.format.feature_set


def test_every_format_is_of_a_task() -> None:
    assert set(clients.FORMATS) == set(TASKS)


def test_another_task_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="'songs' is no task that this version can learn; it can"):
        built_in("songs")
