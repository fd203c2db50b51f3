"""How commands speak: results on stdout, everything else on stderr, JSON where asked.

Whatever is printed for people goes through ``SafeConsole``, and whatever is printed as JSON through
``print_json``: no escape code of somebody else's reaches the terminal raw.

Knows tables, lines, numbers, bars and files for people. Of the project it knows one error: the
person's mistake.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from streamrec.core.printable import json_line, lines, one_line
from streamrec.errors import UserError

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a script to read.")]
TaskOption = Annotated[
    str, typer.Option("--task", help="Whose generations: what the loop learns.", metavar="NAME")
]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

PIPED_WIDTH = 160

LINE_EVERY_S = 30.0
"""Between lines of progress where there is no terminal."""


class SafeConsole(Console):
    """Prints text as it is: no markup, no emoji by name, and nothing that steers a terminal."""

    def __init__(self, **how: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **how)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Rich's own, with what others wrote made visible; its own codes are left."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else lines(text), style, control)


out = SafeConsole(width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = SafeConsole(stderr=True)


def words(text: str, style: str = "") -> Text:
    """A line for people, whoever wrote what is in it."""
    return Text(one_line(text), style=style)


def say(line: str) -> None:
    """One line of progress, out of the way of results."""
    err.print(words(line), soft_wrap=True)


def print_errors(problems: Iterable[str]) -> None:
    """What went wrong, one line each."""
    for problem in problems:
        text = one_line(problem)
        err.print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)


def print_json(value: Any, *, one_line: bool = False) -> None:
    """To stdout, with nothing around it."""
    text = json.dumps(value, ensure_ascii=False, indent=None if one_line else 2)
    sys.stdout.write(json_line(text) + "\n")
    sys.stdout.flush()


def write_file(path: Path, text: str) -> None:
    """A file that a person asked for. Raises UserError when it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


def write_json(path: Path, value: Any) -> None:
    """As ``write_file``, a line for each field."""
    write_file(path, json.dumps(value, indent=2) + "\n")


Advance = Callable[[float, float, str], None]
"""Done, of so many, and what is being done."""


@contextmanager
def progress_bar(unit: str = "") -> Iterator[Advance]:
    """A bar on stderr as long as the block runs; ``unit``: of what is counted.

    Where stderr is no terminal, a line every half minute.
    """
    if not err.is_terminal:
        yield ProgressLines(unit, time.monotonic, say)
        return
    columns: tuple[ProgressColumn, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(f"{{task.completed:,.0f}} of {{task.total:,.0f}}{unit and ' ' + unit}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=0)
        yield lambda done, of, doing: bar.update(task, completed=done, total=of, description=doing)


class ProgressLines:
    """How far it is, its rate and the time left, as a line every ``LINE_EVERY_S``, and the last.

    The rate is that since the line before; the time left is by the rate since the first of the
    stretch: what counts anew, another total, is a stretch of its own.
    """

    def __init__(
        self, unit: str, clock: Callable[[], float], print_line: Callable[[str], None]
    ) -> None:
        """``clock``: seconds."""
        self._unit, self._clock, self._print = unit, clock, print_line
        self._of = 0.0
        self._first = self._last = (clock(), 0.0)  # when, and how many were done

    def __call__(self, done: float, of: float, doing: str) -> None:
        now = self._clock()
        if of != self._of or done < self._last[1]:
            self._of, self._first, self._last = of, (now, 0.0), (now, 0.0)
        due = now - self._last[0] >= LINE_EVERY_S or done == of
        if due and done > self._last[1]:
            line = f"{done:,.0f} of {of:,.0f} {self._unit}".rstrip() + self._pace(now, done)
            self._print(f"{line}: {doing}" if doing else line)
            self._last = (now, done)

    def _pace(self, now: float, done: float) -> str:
        passed_s = now - self._last[0]
        rate = (done - self._last[1]) / passed_s if passed_s else 0.0
        left_s = (self._of - done) * (now - self._first[0]) / done
        said = f", {rate:,.{0 if rate >= 10 else 1}f}/s" if rate else ""
        return said + (f", {ago(1e3 * left_s)} left" if left_s else "")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table of text; a column whose name ends in ``>`` is numbers, set to the right."""
    made = Table(
        title=Text(one_line(title)) if title else None,
        title_justify="left",
        title_style="bold",
        box=None,
    )
    for place, column in enumerate(columns):
        justify: Literal["right", "left"] = "right" if column.endswith(">") else "left"
        name = column.rstrip(">")
        made.add_column(name, justify=justify, overflow="fold", no_wrap=place == 0)
    for row in rows:
        made.add_row(*map(_cell, row))
    return made


def ago(age_ms: float) -> str:
    """An age for people: "0.4 s", "3 min", "2 h", "5 d"."""
    seconds = max(0.0, age_ms / 1000)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _cell(cell: object) -> Text:
    if isinstance(cell, Text):
        cell.plain = one_line(cell.plain)  # of the same length: its styles stay in place
        return cell
    return Text(one_line(_shown(cell)))


def _shown(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:,.1f}" if abs(cell) >= 10 else f"{cell:.3g}"
    return str(cell)
