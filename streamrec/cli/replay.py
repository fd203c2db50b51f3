"""``replay``: learn and predict over a recorded stream, and how good it was."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamrec.cli.console import (
    JsonOption,
    out,
    print_json,
    progress_bar,
    say,
    table,
    write_file,
    write_json,
)
from streamrec.cli.replay_copy import show_copy
from streamrec.cli.replay_replies import replies_plan, show_replies
from streamrec.core.tasks import COPY, RANKING, REPLIES
from streamrec.errors import UserError
from streamrec.lab.measures.chart import line_chart, sparkline
from streamrec.lab.measures.metric_names import IMPRESSIONS, MAIN_METRIC, NEXT_CLICK, QUERIES

if TYPE_CHECKING:
    from rich.table import Table

    from streamrec.lab.replay.copy_plan import CopyPlan
    from streamrec.lab.replay.replay import ReplayProgress


OURS = "streamrec"
COLUMNS = {
    NEXT_CLICK: ("n", "hr@10", "ndcg@10", "mrr"),
    QUERIES: ("n", "hr@10", "ndcg@10", "mrr"),
    IMPRESSIONS: ("n", "auc", "mrr", "ndcg@5", "ndcg@10"),
}


def register(app: typer.Typer) -> None:
    """Add this command to ``app``."""
    app.command("replay", rich_help_panel="Watch")(replay)


def replay(
    *,
    items: Annotated[
        Path | None, typer.Option(help="JSON lines: item_id, title, text?, categories?")
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="JSON lines in time order, as `events send` takes them.")
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            help="ranking; copy: recorded tests of wordings; replies: simulated people are told "
            "something."
        ),
    ] = RANKING,
    tests: Annotated[
        Path | None, typer.Option(help="copy: JSON lines in order of opening (docs/copy.md).")
    ] = None,
    score_from: Annotated[
        str, typer.Option(help="copy: report those opened from here on too: ISO 8601, Unix time.")
    ] = "",
    rows: Annotated[
        Path | None, typer.Option(help="copy: write each test's own numbers here, a line a test.")
    ] = None,
    questions: Annotated[
        int, typer.Option(min=5, help="replies: how many are asked, by each way to learn.")
    ] = 500,
    start: Annotated[
        Path | None,
        typer.Option(help="replies: directory of the adapter to start from; else one is trained."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the whole report here.")] = None,
    warmup_until: Annotated[
        str, typer.Option(help="Earlier events only build state: ISO 8601, or Unix time.")
    ] = "",
    no_learn: Annotated[bool, typer.Option("--no-learn", help="Predict only.")] = False,
    head_only: Annotated[
        bool, typer.Option("--head-only", "--fast-only", help="Leave the language model as it is.")
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, help="Of initialisation, replay memory, SASRec, the bootstrap.")
    ] = 0,
    compare: Annotated[
        str,
        typer.Option(
            help="popularity,click-rate,itemknn,frozen,static,sasrec,bm25 or some of them; "
            "copy: length,tfidf,frozen."
        ),
    ] = "",
    plot: Annotated[
        Path | None, typer.Option(help="Draw the metric over the stream into this SVG file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate on a recorded stream: predict each event, then learn from it. No Kafka needed.

    Every impression is ranked, and every click outside one against the whole catalogue,
    given the query that led to it, with nothing but what was known before it. Ties count
    against us. Differences to baselines are judged by a paired bootstrap over users.
    Popularity and click rate get the half-life that serves them best on the first 30 % of the
    stream.

    \b
    streamrec replay --items films.jsonl --events clicks.jsonl --report report.json
    streamrec replay --items films.jsonl --events clicks.jsonl --compare popularity,static
    streamrec replay --items films.jsonl --events clicks.jsonl --compare frozen --plot curve.svg
    streamrec replay --task copy --tests tests.jsonl --compare length,tfidf,frozen
    streamrec replay --task replies --items films.jsonl --events clicks.jsonl --seed 1
    """
    from streamrec import settings as reader
    from streamrec.lab.replay.replay_main import ReplayPlan, run_replay

    names = tuple(name.strip() for name in compare.split(",") if name.strip())
    if task == COPY:
        _only(
            {
                "--items": items,
                "--events": events,
                "--plot": plot,
                "--no-learn": no_learn,
                "--head-only": head_only,
                "--warmup-until": warmup_until,
            },
            task,
        )
        show_copy(_copy_plan(tests, names, score_from, seed, rows), report, as_json=as_json)
        return
    if task == REPLIES:
        _only(
            {
                "--tests": tests,
                "--score-from": score_from,
                "--rows": rows,
                "--plot": plot,
                "--no-learn": no_learn,
                "--head-only": head_only,
                "--warmup-until": warmup_until,
                "--compare": compare,
            },
            task,
        )
        show_replies(replies_plan(items, events, questions, start, seed), report, as_json=as_json)
        return
    if task != RANKING:
        raise UserError(f"--task {task}: there is a replay of {RANKING}, {COPY} and {REPLIES}")
    _only({"--tests": tests, "--score-from": score_from, "--rows": rows, "--start": start}, task)
    if items is None or events is None:
        raise UserError("--items and --events are needed: the stream, as files of JSON lines")
    plan = ReplayPlan(
        items=items,
        events=events,
        warmup_until_ms=_time_ms(warmup_until, "--warmup-until") if warmup_until else None,
        learn=not no_learn,
        seed=seed,
        train_adapter=not head_only,
        compare=names,
    )
    if plot is not None and plot.suffix != ".svg":
        raise UserError(f"--plot {plot}: only SVG is drawn; name a file that ends in .svg")
    say("reading the stream and encoding the catalogue …")
    with progress_bar("events") as advance:
        result = run_replay(reader.load(), plan, lambda at: advance(at.events, at.of, _now(at)))
    if report is not None:
        write_json(report, result)
    if plot is not None:
        write_file(plot, _drawn(result))
    if as_json:
        print_json(result)
    else:
        _show(result)


def _only(given: dict[str, object], task: str) -> None:
    """Raises UserError for options that mean nothing to the task."""
    vain = [name for name, value in given.items() if value]
    if vain:
        raise UserError(f"{', '.join(vain)}: of no use with --task {task}")


def _copy_plan(
    tests: Path | None, compare: tuple[str, ...], score_from: str, seed: int, rows: Path | None
) -> CopyPlan:
    from streamrec.lab.replay.copy_plan import CopyPlan

    if tests is None:
        raise UserError("--tests is needed: recorded tests, a file of JSON lines")
    since = _time_ms(score_from, "--score-from") / 1000 if score_from else None
    return CopyPlan(tests, compare, since, seed, rows)


def _now(at: ReplayProgress) -> str:
    parts = []
    if at.next_click["n"]:
        parts.append(f"NDCG@10 {at.next_click['ndcg@10']:.3f}")
    if at.impressions["n"]:
        parts.append(f"AUC {at.impressions['auc']:.3f}")
    return ", ".join(parts)


def _contestants(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {OURS: result, **result.get("compare", {})}


def _kinds(result: dict[str, Any]) -> list[str]:
    return [kind for kind in COLUMNS if result["second_half"][kind]["n"]]


def _drawn(result: dict[str, Any]) -> str:
    kinds = [kind for kind in COLUMNS if result[kind]["n"]]
    what = " and ".join(f"{MAIN_METRIC[kind]} of {kind.replace('_', ' ')}" for kind in kinds)
    curves = {name: entry["curve"] for name, entry in _contestants(result).items()}
    across = ["0 %", "25 %", "50 %", "75 %", "100 %"]
    return line_chart(curves, "Predict, then learn: over the stream", across, what)


def _show(result: dict[str, Any]) -> None:
    for kind in _kinds(result):
        out.print(_metrics(result, kind))
        out.print(_slices(result, kind))
    if chosen := result["baselines"]["statistics"]:
        out.print(
            "baselines read "
            + ", ".join(f"{name} from {column}" for name, column in chosen.items())
            + ": best on the first 30 %"
        )
    learning = result["learning"]
    out.print(
        f"{learning['examples']:,} examples, {learning['steps']:,} steps, "
        f"{learning['generations']:,} generations, {learning['seconds']:.0f} s"
    )


def _metrics(result: dict[str, Any], kind: str) -> Table:
    contestants, main = _contestants(result), MAIN_METRIC[kind]
    top = max(v for c in contestants.values() for v in c["curve"] if v is not None)
    rows = []
    for name, entry in contestants.items():
        half = entry["second_half"]
        delta = entry.get("difference", {}).get(kind, {}).get(main)
        rows.append(
            [
                name,
                *(_cell(half[kind][column]) for column in COLUMNS[kind]),
                *(_cell(half["calibration"][column]) for column in ("log_loss", "ece")),
                *_against(delta),
                sparkline(entry["curve"], top),
            ]
        )
    numbers = (*COLUMNS[kind], "log loss", "ece", "ratio")
    heads = ["", *(f"{c}>" for c in numbers), "streamrec's lead, 95 %", "p>", "over the stream"]
    of = result["second_half"]["calibration"]["of"].replace("_", " ")
    title = f"{kind.replace('_', ' ')}, second half; lead in {main}; log loss and ece of {of}"
    return table(title, heads, rows)


def _slices(result: dict[str, Any], kind: str) -> Table:
    """The main metric by slice; ``+`` or ``-``: streamrec is significantly better or worse."""
    main, names = MAIN_METRIC[kind], list(result["slices"])
    rows = []
    for name, entry in _contestants(result).items():
        cells = [name]
        for at in names:
            delta = entry.get("slice_difference", {}).get(at, {}).get(kind, {}).get(main)
            cells.append(f"{_cell(entry['slices'][at][kind][main])}{_mark(delta)}")
        rows.append(cells)
    sizes = {at: result["slices"][at][kind]["n"] for at in names}
    heads = ["", *(f"{at.replace('_', ' ')} ({sizes[at]:,})>" for at in names)]
    return table(f"{main} by slice; + streamrec is better, - worse, at 5 %", heads, rows)


def _cell(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _mark(delta: dict[str, Any] | None) -> str:
    if delta is None or not delta["significant"]:
        return "  "
    return " +" if delta["mean"] > 0 else " -"


def _against(delta: dict[str, Any] | None) -> list[str]:
    """Ratio, difference with its interval, p."""
    if delta is None:
        return ["", "", ""]
    ratio = "" if delta["ratio"] is None else f"{delta['ratio']:.2f}"
    lead = f"{delta['mean']:+.4f} [{delta['low']:+.4f}, {delta['high']:+.4f}]"
    return [ratio, lead, f"{delta['p_value']:.3f}"]


def _time_ms(text: str, option: str) -> int:
    """ISO 8601 (UTC when it names no zone), or a number: above 1e11 milliseconds, else seconds."""
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise UserError(f"{option} {text}: neither ISO 8601 nor a Unix time") from None
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(zoned.timestamp() * 1_000)
    return int(number if number > 1e11 else number * 1_000)
