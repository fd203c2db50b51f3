"""A file onto a topic, watched: how far it is, what was refused, and how to go on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import typer

from streamrec.cli import load_view as view
from streamrec.cli.console import INTERRUPTED, err, print_errors, print_json, progress_bar, say
from streamrec.cli.run import stopped_by_signals
from streamrec.errors import StreamrecError, UserError

if TYPE_CHECKING:
    from streamrec.infra.files.field_map import FieldPlan
    from streamrec.infra.files.opened import SourceFile
    from streamrec.infra.files.reading import FileForm, FileRows
    from streamrec.loop.ingesting.send import BadLine, GoodRow, InputRow, RowCheck
    from streamrec.ports import Tracer
    from streamrec.settings import Settings

SHOWN_PROBLEMS = 20
LISTED_PROBLEMS = 10_000
"""Of them with ``--json``: a file may have more than memory."""
PREVIEWED = 5
LINE_EVERY_S, BAR_EVERY_S = 15.0, 0.2


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What a person asked for."""

    topic: str
    place: str
    form: FileForm
    fields: FieldPlan
    dry_run: bool = False
    sort: bool = False
    errors: str = ""
    skip: int = 0
    as_json: bool = False


def load(plan: LoadPlan) -> None:
    """Raises typer.Exit: 1 when something was refused, 130 after Ctrl-C."""
    from streamrec.apps import clients
    from streamrec.infra.files.field_map import FieldMap
    from streamrec.infra.files.opened import opened
    from streamrec.infra.files.reading import file_rows
    from streamrec.settings import load as settings_alone

    fields = FieldMap(plan.topic, plan.fields)
    with opened(plan.place, sys.stdin.buffer) as source, ExitStack() as stack:
        settings = settings_alone() if plan.dry_run else clients.located()
        publisher = None if plan.dry_run else _publisher(settings, stack)
        tracer = stack.enter_context(closing(clients.tracer(settings)))
        read = file_rows(source, plan.form, fields)
        bad = stack.enter_context(RefusedRows(plan, source.name, read.header).kept())
        check = _check(plan, settings, bad)
        watched = stack.enter_context(_watched(read, source, check))
        rows = _in_order(plan, check.good(islice(watched, plan.skip, None)))
        started = time.monotonic()
        shown = list(islice(rows, PREVIEWED)) if plan.dry_run else []
        if publisher is None:
            for _ in rows:
                pass
        else:
            _publish(plan, rows, check, publisher, tracer)
        seconds = time.monotonic() - started
    result = view.LoadResult(
        plan.topic, source.name, read.told, check.report, plan.dry_run, seconds, plan.sort,
        [*fields.ignored], fields.unseen, read.notes(),
    )  # fmt: skip
    if plan.as_json:
        print_json(view.as_fields(result, shown, bad.listed))
    else:
        bad.tell_rest()
        view.show(result, shown)
    if check.report.refused:
        raise typer.Exit(1)


def _publisher(settings: Settings, stack: ExitStack) -> Any:
    from streamrec.apps import clients, identities

    identities.check_pseudonyms(settings)
    publisher = clients.publisher(settings, "streamrec-cli")
    stack.callback(publisher.close)
    return publisher


def _check(plan: LoadPlan, settings: Settings, bad: RefusedRows) -> RowCheck:
    from streamrec.apps import clients
    from streamrec.infra.clock import SystemClock
    from streamrec.loop.ingesting.admissible import FUTURE_TOLERANCE_MS
    from streamrec.loop.ingesting.send import RowCheck

    return RowCheck(
        plan.topic,
        clients.codec(settings),
        bad.note,
        known_as=partial(clients.known_as, settings),
        until_ms=SystemClock().now_ms() + FUTURE_TOLERANCE_MS,
    )


def _in_order(plan: LoadPlan, good: Iterator[GoodRow]) -> Iterator[GoodRow]:
    if not plan.sort:
        return good
    return iter(sorted(good, key=lambda row: row.value.occurred_at_ms))


def _publish(
    plan: LoadPlan, rows: Iterator[GoodRow], check: RowCheck, publisher: Any, tracer: Tracer
) -> None:
    """Whatever ends it early, what was handed over is waited for, and it is said how to go on."""
    from streamrec.loop.ingesting.send import publish

    try:
        with stopped_by_signals():
            publish(rows, plan.topic, check, publisher, tracer)
    except (KeyboardInterrupt, StreamrecError) as error:
        report = check.report
        with suppress(StreamrecError):
            publisher.flush()
            # the row in hand may not have been handed over
            report.acknowledged = max(report.acknowledged, report.rows - 1)
        say(view.how_to_go_on(report, plan.skip, resumable=not plan.sort and plan.place != "-"))
        if isinstance(error, KeyboardInterrupt):
            raise typer.Exit(INTERRUPTED) from None
        raise


class RefusedRows:
    """Rows that are not sent: the first are named, and all are written where somebody asks."""

    def __init__(self, plan: LoadPlan, name: str, header: bytes) -> None:
        self._plan, self._name, self._header = plan, name, header
        self._file: IO[bytes] | None = None
        self._count = 0
        self.listed: list[BadLine] = []

    @contextmanager
    def kept(self) -> Iterator[RefusedRows]:
        """Raises UserError: the file to write to is there already."""
        path = self._plan.errors
        if path and Path(path).exists():
            raise UserError(f"--errors {path}: it is there already; name a new file")
        try:
            yield self
        finally:
            if self._file is not None:
                self._file.close()
                say(f"refused rows are in {path}; corrected, they can be loaded the same way")

    def note(self, bad: BadLine) -> None:
        self._count += 1
        if self._count <= LISTED_PROBLEMS:
            self.listed.append(bad)
        if self._count <= SHOWN_PROBLEMS and not self._plan.as_json:
            print_errors([f"{self._name} line {bad.number}: {bad.reason}"])
        if self._plan.errors:
            self._write(bad)

    def tell_rest(self) -> None:
        if self._count > SHOWN_PROBLEMS:
            print_errors([f"and {self._count - SHOWN_PROBLEMS:,} lines more"])

    def _write(self, bad: BadLine) -> None:
        try:
            if self._file is None:
                self._file = Path(self._plan.errors).open("xb")  # noqa: SIM115 - kept() closes it
                self._file.write(self._header)
            row = bad.source
            line = row if isinstance(row, bytes) else json.dumps(row, default=str).encode()
            self._file.write(line.rstrip(b"\r\n") + b"\n")
        except OSError as error:
            raise UserError(f"--errors {self._plan.errors}: {error.strerror}") from None


@contextmanager
def _watched(read: FileRows, source: SourceFile, check: RowCheck) -> Iterator[Iterable[InputRow]]:
    """The rows; how far they are is drawn in a terminal, and else said now and then."""
    started = time.monotonic()

    def at() -> view.HowFar:
        report, seconds = check.report, time.monotonic() - started
        if read.count is not None:
            return view.HowFar(report, seconds, report.rows, read.count, "rows")
        return view.HowFar(report, seconds, source.read / 1e6, (source.size or 0) / 1e6, "MB")

    if not err.is_terminal:
        yield _ticked(read.rows, LINE_EVERY_S, lambda: say(view.progress(at())))
        return
    with progress_bar(at().unit) as advance:

        def draw() -> None:
            now = at()
            advance(now.done, now.of, view.rate(now))

        yield _ticked(read.rows, BAR_EVERY_S, draw)


def _ticked(rows: Iterable[InputRow], every_s: float, tick: Any) -> Iterator[InputRow]:
    due = time.monotonic() + every_s
    for row in rows:
        yield row
        if time.monotonic() >= due:
            tick()
            due = time.monotonic() + every_s
