"""A line chart as SVG text, and as one line of block characters.

Points lie at equal distances; None leaves a gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby

Values = Sequence[float | None]

WIDTH, HEIGHT = 760, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 150, 36, 44
COLOURS = ("#0b6e4f", "#c1121f", "#3a6ea5", "#e09f3e", "#6a4c93", "#7f7f7f", "#17a2b8", "#8c564b")
"""The first is for what the chart is about."""
_STEPS = (1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0, 10.0)
BLOCKS = "▁▂▃▄▅▆▇█"


def line_chart(lines: Mapping[str, Values], title: str, across: Sequence[str], up: str) -> str:
    """An SVG document. ``across``: labels from the left edge to the right; ``up``: the unit."""
    top = _round_up(max((v for line in lines.values() for v in line if v is not None), default=1.0))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="16" font-size="14" font-weight="bold">{escape(title)}</text>',
        *_grid(top, up),
        *_labels(across),
    ]
    for number, (name, line) in enumerate(lines.items()):
        colour, y = COLOURS[number % len(COLOURS)], _TOP + 12 + 18 * number
        x = WIDTH - _RIGHT + 12
        parts += [
            *_line(line, top, colour, width=2.5 if number == 0 else 1.3),
            f'<path d="M{x} {y - 4}h18" stroke="{colour}" stroke-width="2.5"/>',
            f'<text x="{x + 24}" y="{y}">{escape(name)}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def sparkline(line: Values, top: float) -> str:
    """One block a point, the fullest standing for ``top``; a space where there is no value."""
    last = len(BLOCKS) - 1
    return "".join(
        " " if v is None else BLOCKS[min(last, int(v / top * last + 0.5)) if top > 0 else 0]
        for v in line
    )


def _line(line: Values, top: float, colour: str, width: float) -> Iterator[str]:
    """One polyline for each run of points without a gap."""
    for missing, run in groupby(enumerate(line), key=lambda point: point[1] is None):
        if not missing:
            points = " ".join(
                f"{_x(n, len(line)):.1f},{_y(value / top):.1f}"
                for n, value in run
                if value is not None
            )
            yield (
                f'<polyline points="{points}" fill="none" stroke="{colour}" '
                f'stroke-width="{width}" stroke-linejoin="round"/>'
            )


def _grid(top: float, up: str) -> Iterator[str]:
    for step in range(5):
        y = _y(step / 4)
        yield f'<path d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}" stroke="#dddddd"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{top * step / 4:.4g}</text>'
    yield f'<text x="{_LEFT}" y="{_TOP - 5}" fill="#555555">{escape(up)}</text>'


def _labels(across: Sequence[str]) -> Iterator[str]:
    for n, label in enumerate(across):
        x = _x(n, len(across))
        yield (
            f'<text x="{x:.1f}" y="{HEIGHT - _BOTTOM + 20}" text-anchor="middle">'
            f"{escape(label)}</text>"
        )


def _x(n: int, points: int) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * (n / (points - 1) if points > 1 else 0.5)


def _y(part: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * part


def _round_up(value: float) -> float:
    """A number not below ``value`` whose quarters read well."""
    if value <= 0:
        return 1.0
    size = 1.0
    while size > value:
        size /= 10
    while size * 10 <= value:
        size *= 10
    return next(size * step for step in _STEPS if size * step >= value)
