"""Files in every form and packing: the same rows, or the line that is wrong."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from streamrec.errors import BadFile, Refused, UserError
from streamrec.infra.files.field_map import FieldMap, FieldPlan
from streamrec.infra.files.opened import opened, shown
from streamrec.infra.files.reading import FileForm, file_rows
from streamrec.loop.ingesting.send import InputRow

CLICK = {"user_id": "ann", "item_id": "42", "kind": "click", "occurred_at": "2026-03-01T12:00:00Z"}
HEAD = b"user_id,item_id,kind,occurred_at\n"
ROW = b"ann,42,click,2026-03-01T12:00:00Z\n"
SENT = {"user_id": "ann", "item_id": "42", "kind": "click", "occurred_at_ms": 1_772_366_400_000}


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()


def rows(place: object, topic: str = "events", plan: FieldPlan | None = None, **form) -> list:
    """Each as (number, what would be sent or why it is not)."""
    with opened(str(place), io.BytesIO()) as source:
        read = file_rows(source, FileForm(**form), FieldMap(topic, plan or FieldPlan()))
        return [(row.number, said(row)) for row in read.rows]


def said(row: InputRow) -> object:
    return str(row.found) if isinstance(row.found, Refused) else json.loads(row.found)


def written(directory: Path, name: str, data: bytes) -> Path:
    path = directory / name
    path.write_bytes(data)
    return path


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def zst(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.csv", bytes),
        ("a.csv.gz", gz),
        ("a.csv.zst", zst),
        ("A.CSV.GZ", gz),
        ("misnamed.csv", gz),  # its first bytes tell
        ("parts.csv.gz", lambda data: gz(data[:20]) + gz(b"") + gz(data[20:])),
        ("parts.csv.zst", lambda data: zst(data[:20]) + zst(data[20:])),
        ("padded.csv.gz", lambda data: gz(data) + b"\0" * 512),
    ],
)
def test_packed_or_not_it_is_the_same(tmp_path, name, pack) -> None:
    assert rows(written(tmp_path, name, pack(HEAD + ROW))) == [(2, SENT)]


@pytest.mark.parametrize("pack", [gz, zst])
@pytest.mark.parametrize("cut", [5, -3])
def test_a_packed_file_that_was_cut_off_is_no_shorter_file(tmp_path, pack, cut) -> None:
    path = written(tmp_path, "a.csv", pack(HEAD + ROW * 500)[:cut])
    with pytest.raises(BadFile, match=r"cut off|unpacked"):
        rows(path)


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.csv.gz", b"", "cut off"),
        ("a.csv", gz(HEAD + ROW) + b"rubbish", "cannot be unpacked"),
        ("a.csv", b"PK\x03\x04 and more", "a zip archive"),
        ("a.xlsx", b"PK\x03\x04 and more", "save it as CSV"),
        ("a.csv", b"", "no header"),
        ("a.csv", b"a,b,a\n", "names a more than once"),
        ("a.csv", b"a,b;c\n", ", and ; are as frequent"),
        ("a.log", b"PAR1....", "--format parquet"),
        ("a.parquet", b"PAR1....", "is not Parquet, or broken"),
        (
            "a.json",
            b'[{"a": 1} {"b": 2}]',
            "element 1, at line 1: expected a comma or ], found {",
        ),
        ("a.json", b'[{"a": 1},\n {"b": ]', "element 2, at line 2"),
        ("a.json", b'[{"a": 1}', "expected a comma or ], found its end"),
        ("a.json", b"[1", "cut off"),
        ("a.json", b"[{}] {}", "something follows"),
        ("a.json", b'[\n{"a": "\xff"}]', "line 2 is not UTF-8"),
        (
            "a.csv",
            b'user_id,item_id,kind,occurred_at\n"ann,42,click\n' + ROW * 9,
            "line 2 is not clo",
        ),
    ],
)
def test_a_file_that_is_broken_says_where(tmp_path, name, data, told) -> None:
    with pytest.raises(UserError) as raised:
        rows(written(tmp_path, name, data))
    assert told in str(raised.value)


def test_any_file_system_of_fsspec(memory) -> None:
    memory.pipe("/shop/clicks.csv.gz", gz(HEAD + ROW))
    assert rows("memory://shop/clicks.csv.gz") == [(2, SENT)]
    memory.pipe("/shop/c.parquet", parquet(pa.table({name: [CLICK[name]] for name in CLICK})))
    assert rows("memory://shop/c.parquet") == [(1, SENT)]
    with pytest.raises(UserError, match=r"memory://shop/none.csv: No such file"):
        rows("memory://shop/none.csv")
    with pytest.raises(UserError, match=r"memory://shop is a directory"):
        rows("memory://shop")
    with pytest.raises(UserError, match=r"nope://x cannot be read: Protocol not known"):
        rows("nope://x")


def test_a_secret_in_a_url_is_not_shown() -> None:
    url = "https://ann:hunter2@store/b/clicks.csv.gz?X-Amz-Signature=abc"
    assert shown(url) == "https://store/b/clicks.csv.gz"
    assert shown("clicks.csv") == "clicks.csv"


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (HEAD.replace(b",", b";") + ROW.replace(b",", b";"), {}),
        (HEAD.replace(b",", b"\t") + ROW.replace(b",", b"\t"), {}),
        (HEAD.replace(b",", b"|") + ROW.replace(b",", b"|"), {"delimiter": "|"}),
        (b"sep=;\r\n" + HEAD.replace(b",", b";") + ROW.replace(b",", b";"), {}),
        (b"\xef\xbb\xbf" + HEAD + ROW, {}),
        ((HEAD + ROW).decode().encode("utf-16"), {}),
        ((HEAD + ROW).decode().encode("utf-16-be"), {"encoding": "utf-16-be"}),
        (HEAD.replace(b"\n", b"\r\n") + ROW.replace(b"\n", b"\r\n"), {}),
        (b'"user_id", item_id, kind ,"occurred_at"\n"ann", "42", click ,2026-03-01T12:00:00Z', {}),
        (ROW, {"columns": ["user_id", "item_id", "kind", "occurred_at"]}),
    ],
)
def test_csv_as_it_is_found(tmp_path, data, form) -> None:
    number = 1 if "columns" in form else 3 if data.startswith(b"sep=") else 2
    assert rows(written(tmp_path, "a.csv", data), **form) == [(number, SENT)]


def test_cells_with_everything_in_them_and_lines_that_are_counted(tmp_path) -> None:
    text = (
        'item_id,title,text\n1,"a ""b"", c","two\nlines"\n\n2,plain\n3,"x"y,z\n'
        '4,"ends\nnowhere"z,"5,\n6,ok,last'
    )
    found = rows(
        written(tmp_path, "a.csv", text.encode() + b'\n7,caf\xe9,x\n"8",\xc3\xa9,'), "items"
    )
    assert found == [
        (2, {"item_id": "1", "title": 'a "b", c', "text": "two\nlines"}),
        (5, "2 cells where there are 3 columns"),
        (6, "not CSV: ',' expected after '\"'"),
        (7, "not CSV: ',' expected after '\"' (through line 8)"),
        (9, {"item_id": "6", "title": "ok", "text": "last"}),
        (10, "not UTF-8: byte e9 at place 6 of line 10; --encoding names another, as in "
             "--encoding windows-1252"),
        (11, {"item_id": "8", "title": "é"}),
    ]  # fmt: skip


def test_an_encoding_is_believed_and_its_fault_has_a_line(tmp_path) -> None:
    path = written(tmp_path, "a.csv", "item_id,title\n1,café\n".encode("latin-1"))
    assert rows(path, "items", encoding="latin-1") == [(2, {"item_id": "1", "title": "café"})]
    with pytest.raises(BadFile, match="is not ascii: line 2"):
        rows(path, "items", encoding="ascii")
    with pytest.raises(UserError, match="no such encoding"):
        rows(path, "items", encoding="martian")


def test_json_by_lines_and_as_an_array(tmp_path) -> None:
    line = json.dumps(CLICK).encode()
    by_line = written(tmp_path, "a.jsonl", line + b"\n\n  " + line + b"\r\nclick!\n[1]\n")
    found = rows(by_line)
    assert [number for number, _ in found] == [1, 3, 4, 5]
    assert found[0][1] == found[1][1] == CLICK
    assert "not a JSON object; every line must be one" in found[2][1]
    pretty = json.dumps([CLICK, 5, {**CLICK, "item_id": "]},"}, "x"], indent=1).encode()
    for name, data in (
        ("a.json", pretty),
        ("a", b"\xef\xbb\xbf \n" + pretty),
        ("b.json", b" [ ] "),
    ):
        found = rows(written(tmp_path, name, data))
        assert [one for _, one in found if one == CLICK] == [CLICK] * (name[0] == "a")
    found = rows(tmp_path / "a.json")
    assert [number for number, _ in found] == [1, 2, 3, 4]
    assert found[1][1] == found[3][1] == "not a JSON object, as all must be"
    assert rows(written(tmp_path, "c.json", line)) == [(1, CLICK)], "lines in a .json"


def parquet(table: pa.Table, **how) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **how)
    return sink.getvalue()


def test_parquet_in_types_that_others_write(tmp_path) -> None:
    at_ns = 1_772_366_400_000_000_000
    times = {
        "ns": pa.array([at_ns + 1], pa.timestamp("ns")),
        "zoned": pa.array([at_ns // 1000], pa.timestamp("us", "America/New_York")),
        "ms": pa.array([at_ns // 10**6], pa.int64()),
        "s": pa.array([at_ns / 10**9], pa.float64()),
    }
    for name, column in times.items():
        made = {
            "user_id": pa.array([7], pa.int32()),
            "item_id": pa.array([42.0], pa.float64()),  # of a program that had gaps
            "kind": pa.array([b"click"], pa.binary()),
            "occurred_at": column,
            "value": pa.array([float("nan")]),
            "position": pa.array([3], pa.int8()),
            "shop": pa.array([1]),
        }
        data = parquet(pa.table(made))
        [(number, sent)] = rows(written(tmp_path, f"{name}.parquet", data))
        assert (number, sent) == (1, SENT | {"user_id": "7", "position": 3})


def test_parquet_with_lists_maps_and_structs(tmp_path) -> None:
    made = {
        "product": pa.array([{"id": 1, "brand": "Aa"}, None]),
        "categories": pa.array([["a", "b"], None]),
        "attributes": pa.array([[("k", "v")], []], pa.map_(pa.string(), pa.string())),
        "added": pa.array([None, 3], pa.date32()),
        "raw": pa.array([b"\xff", b"ok"]),
    }
    path = written(tmp_path, "a.parquet", parquet(pa.table(made), row_group_size=1))
    plan = FieldPlan(columns=[("item_id", "product.id"), ("title", "product.brand")])
    assert rows(path, "items", plan) == [
        (1, {"item_id": "1", "title": "Aa", "categories": ["a", "b"], "attributes": {"k": "v"}}),
        (2, {"attributes": []}),
    ]
    assert rows(path, "items", FieldPlan(columns=[("item_id", "raw")])) == [
        (1, "raw holds bytes that are not UTF-8"),
        (2, {"item_id": "ok", "attributes": []}),
    ]


def test_parquet_from_a_stream_or_without_its_reader_says_what_to_do(tmp_path) -> None:
    with (
        pytest.raises(UserError, match="name a file"),
        opened("-", Pipe()) as source,
    ):
        file_rows(source, FileForm("parquet"), FieldMap("items", FieldPlan()))
    written(tmp_path, "a.parquet", b"")
    code = (
        "import sys; sys.modules['pyarrow'] = None\nfrom streamrec.cli import main\n"
        "main(['items', 'load', 'a.parquet', '--dry-run'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(Path.cwd()), "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "pip install 'streamrec[parquet]'" in done.stderr


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False
