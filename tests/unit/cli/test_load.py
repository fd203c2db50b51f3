"""``items load`` and ``events send`` without a loop: what a dry run shows, and what is told."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import fsspec
import pytest

from streamrec.cli.app import main

CSV = """\
when;visitor;sku;action;score
01.03.2026 12:00;ann;42;pdp;
01.03.2026 12:05;bob;43;buy;2.5
01.03.2026 12:06;bob;43;hover;
28.02.2026 09:00;cy;44;pdp;
"""
HOW = (
    *("--map", "occurred_at=when", "--map", "user_id=visitor", "--map", "item_id=sku"),
    *("--map", "kind=action", "--kind", "pdp=view", "--kind", "buy=purchase"),
    *("--time-format", "%d.%m.%Y %H:%M"),
)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("STREAMREC_KAFKA_BOOTSTRAP", "STREAMREC_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    Path("clicks.csv").write_text(CSV)
    return tmp_path


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_a_dry_run_needs_no_loop_and_shows_what_would_be_sent(capsys) -> None:
    assert run("events", "send", "clicks.csv", *HOW, "--dry-run") == 1
    shown = capsys.readouterr()
    lines = [line.split() for line in shown.out.splitlines()]
    assert lines[1] == ["line", "event_id", "user_id", "item_id", "kind", "occurred_at"]
    assert [line[0] for line in lines[2:]] == ["2", "3", "5"]
    assert lines[3][2:] == ["bob", "43", "purchase", "2026-03-01", "12:05:00Z"]
    assert "clicks.csv line 4: kind is 'hover'" in shown.err
    assert "3 events would be sent, 1 refused" in shown.err
    assert "columns that are no field: score" in shown.err
    assert "happened 2026-02-28 09:00:00Z to 2026-03-01 12:05:00Z" in shown.err
    assert "1 of them are earlier than one before them, by up to 27 h" in shown.err


def test_a_dry_run_as_json_sorted_and_with_rows_left_out(capsys) -> None:
    arguments = ("--kind", "hover=-", "--sort", "--dry-run", "--json")
    assert run("events", "send", "clicks.csv", *HOW, *arguments) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [row["user_id"] for row in shown["first"]] == ["cy", "ann", "bob"]
    assert (shown["would_send"], shown["left_out"], shown["refused"]) == (3, 1, [])
    Path("clicks.csv").write_text(CSV + "never;dan;45;hover;\n")
    assert run("events", "send", "clicks.csv", *HOW, *arguments) == 0, "left out, not looked at"
    capsys.readouterr()
    assert not any("earlier" in note for note in shown["notes"])


def test_the_same_rows_have_the_same_ids_in_every_format(capsys) -> None:
    found = []
    rows = [line.split(";") for line in CSV.splitlines()]
    dicts = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    Path("clicks.jsonl").write_text("\n".join(map(json.dumps, dicts)))
    Path("clicks.tsv").write_text(CSV.replace(";", "\t"))
    for name in ("clicks.csv", "clicks.jsonl", "clicks.tsv"):
        run("events", "send", name, *HOW, "--dry-run", "--json")
        found.append([row["event_id"] for row in json.loads(capsys.readouterr().out)["first"]])
    assert found[0] == found[1] == found[2]
    assert len(set(found[0])) == 3


def test_refused_rows_are_kept_to_be_corrected(capsys) -> None:
    fsspec.filesystem("memory").pipe("/clicks.csv.gz", gzip.compress(CSV.encode()))
    where = ("memory://clicks.csv.gz", *HOW, "--dry-run")
    assert run("events", "send", *where, "--errors", "bad.csv") == 1
    assert "refused rows are in bad.csv" in capsys.readouterr().err
    assert Path("bad.csv").read_text().splitlines() == [CSV.splitlines()[i] for i in (0, 3)]
    assert run("events", "send", *where, "--errors", "bad.csv") == 1
    assert "bad.csv: it is there already" in capsys.readouterr().err
    assert run("events", "send", "bad.csv", *HOW, "--kind", "hover=view", "--dry-run") == 0
    capsys.readouterr()
    assert run("events", "send", "bad.csv", *HOW, "--skip", "1", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["would_send"] == 0


def test_many_refusals_are_counted_by_reason(capsys) -> None:
    rows = "".join(f"i{n},{'x' * 2_500 if n % 2 else 't'}\n" for n in range(80))
    Path("items.csv").write_text(f"item_id,title\n{rows}a,b,c\n")
    assert run("items", "load", "items.csv", "--dry-run") == 1
    told = capsys.readouterr().err
    assert "40 items would be sent, 41 refused" in told
    assert "40 × title has …" in told
    assert "and 21 lines more" in told
    assert told.count("error: ") == 21


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["clicks.csv"], 1, "has no column user_id, item_id, kind, occurred_at; it has when"),
        (["clicks.csv", "--map", "user_id"], 1, "expected two names with = between them"),
        (["clicks.csv", "--format", "xlsx"], 1, "expected one of jsonl, json, csv, tsv, parquet"),
        (["clicks.csv", "--delimiter", ",,"], 1, "one character is needed"),
        (["clicks.jsonl", "--header", "a"], 1, "--format csv if it is a table"),
        (["nowhere.csv"], 1, "nowhere.csv: No such file"),
        (["s3://b/clicks.csv"], 1, "s3://b/clicks.csv cannot be read: Install s3fs"),
        (["."], 1, "Is a directory"),
    ],
)
def test_a_mistake_is_one_clear_line(arguments, code, told, capsys) -> None:
    Path("clicks.jsonl").write_text("{}")
    assert run("events", "send", *arguments, "--dry-run") == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert told in shown.err


def test_a_time_that_has_not_been_is_refused(capsys) -> None:
    row = '{"user_id": "a", "item_id": "1", "kind": "click", "occurred_at": 2034030112}'
    Path("clicks.jsonl").write_text(row)
    assert run("events", "send", "clicks.jsonl", "--dry-run") == 1
    assert "which has not been yet; is its unit another? --time-unit" in capsys.readouterr().err
