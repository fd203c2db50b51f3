"""Charts are read back as XML and as characters."""

from __future__ import annotations

from xml.etree import ElementTree

from streamrec.lab.measures.chart import line_chart, sparkline

SVG = "{http://www.w3.org/2000/svg}"


def polylines(text: str) -> list[list[tuple[float, float]]]:
    return [
        [
            (float(x), float(y))
            for x, y in (pair.split(",") for pair in line.get("points", "").split())
        ]
        for line in ElementTree.fromstring(text).iter(f"{SVG}polyline")
    ]


def test_higher_is_further_up_and_later_is_further_right() -> None:
    ((first, second),) = polylines(line_chart({"ours": [0.1, 0.2]}, "t", ["a", "b"], "u"))
    assert first[0] < second[0]
    assert first[1] > second[1]


def test_lines_share_one_scale() -> None:
    low, high = polylines(line_chart({"low": [1.0, 1.0], "high": [4.0, 4.0]}, "t", ["a"], "u"))
    assert high[0][1] < low[0][1]


def test_a_gap_parts_a_line() -> None:
    parts = polylines(line_chart({"ours": [1.0, 2.0, None, 3.0]}, "t", ["a"], "u"))
    assert [len(part) for part in parts] == [2, 1]


def test_names_are_escaped() -> None:
    root = ElementTree.fromstring(line_chart({"a<b": [1.0]}, "x & y", ["0 %"], "u"))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "a<b" in texts
    assert "x & y" in texts


def test_nothing_to_draw_is_an_empty_chart() -> None:
    assert polylines(line_chart({"ours": [None]}, "t", [], "u")) == []


def test_a_sparkline_has_one_character_a_point() -> None:
    assert sparkline([0.0, None, 0.5, 1.0], top=1.0) == "▁ ▅█"
    assert sparkline([0.0], top=0.0) == "▁"
