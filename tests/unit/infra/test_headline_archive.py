"""Recorded headlines from their archive: made into tests once, and failures say what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamrec.errors import UserError
from streamrec.infra.stores.headline_archive import LISTING, archived_tests, recorded_headlines
from streamrec.lab.replay.headline_tests import read_tests

HEAD = ",created_at,clickability_test_id,headline,eyecatcher_id,impressions,clicks\n"
ROWS = (
    "0,2014-05-02 10:00:00.5,t2,A whale sings,p1,900,30\n"
    '1,2014-05-02 10:00:00.5,t2,"A whale, and a song",p1,800,10\n'
    "2,2014-05-02 10:00:00.5,t2,A whale sings,p1,100,5\n"  # the same headline again
    "3,2014-05-02 10:00:00.5,t2,Nobody saw this one,p1,20,1\n"
    "4,2014-05-02 10:00:00.5,t2,Beside another picture,p2,900,1\n"
    "5,2014-05-01 09:00:00,t1,A bridge opens,p3,700,7\n"
    "6,2014-05-01 09:00:00,t1,Cross it on foot,p3,700,14\n"
)


def get(address: str, _timeout_s: float) -> bytes:
    if address == "https://files/exploratory-packages-1.csv":
        return (HEAD + ROWS).encode()
    assert address == LISTING
    names = ("holdout-packages-1.csv", "exploratory-packages-1.csv")
    files = [
        {"attributes": {"name": name}, "links": {"download": f"https://files/{name}"}}
        for name in names
    ]
    return json.dumps({"data": files}).encode()


def unreachable(_address: str, _timeout_s: float) -> bytes:
    raise OSError("no route")


def test_headlines_that_shared_a_picture_are_a_test() -> None:
    first, second = archived_tests(HEAD + ROWS)
    assert (first["test_id"], second["test_id"]) == ("t1-p3", "t2-p1"), "in order of opening"
    assert first["opened_at"] == 1398934800
    assert [(v["title"], v["impressions"], v["clicks"]) for v in second["variants"]] == [
        ("A whale sings", 1000, 35),
        ("A whale, and a song", 800, 10),
    ]


def test_they_are_fetched_once_and_read_by_the_replay(tmp_path: Path) -> None:
    said: list[str] = []
    path = recorded_headlines(tmp_path / "datasets", said.append, get=get)
    assert [test.test_id for test in read_tests(path)] == ["t1-p3", "t2-p1"]
    assert recorded_headlines(tmp_path / "datasets", said.append, get=unreachable) == path
    assert len(said) == 1


def test_an_archive_somebody_has_put_there_is_taken(tmp_path: Path) -> None:
    (tmp_path / "upworthy.csv").write_text(HEAD + ROWS)
    assert len(read_tests(recorded_headlines(tmp_path, print, get=unreachable))) == 2


def test_says_what_to_do_where_nothing_can_be_reached(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no route.*--data FILE.*put it at .*upworthy\.csv"):
        recorded_headlines(tmp_path, print, get=unreachable)


@pytest.mark.parametrize("listing", [b"<html>", b"{}", b'{"data": []}', b'{"data": [1]}'])
def test_a_home_that_answers_otherwise_is_no_crash(tmp_path: Path, listing: bytes) -> None:
    with pytest.raises(UserError, match="--data FILE"):
        recorded_headlines(tmp_path, print, get=lambda _address, _s: listing)


@pytest.mark.parametrize("text", ["", HEAD, "a,b\n1,2\n", HEAD + "0,when,t,A,p,900,1\n"])
def test_a_file_that_is_something_else_is_removed(tmp_path: Path, text: str) -> None:
    (tmp_path / "upworthy.csv").write_text(text)
    with pytest.raises(UserError, match="run the command again"):
        recorded_headlines(tmp_path, print, get=get)
    assert not (tmp_path / "upworthy.csv").exists()
