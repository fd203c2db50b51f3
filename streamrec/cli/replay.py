"""``replay``: learn and predict over a recorded stream, and how good it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from streamrec.cli.console import JsonOption, err, out, print_json, say, table
from streamrec.errors import UserError

if TYPE_CHECKING:
    from streamrec.stages.replay import Progress as ReplayProgress


def register(app: typer.Typer) -> None:
    """Add this command to ``app``."""
    app.command("replay", rich_help_panel="Watch")(replay)


def replay(
    *,
    items: Annotated[Path, typer.Option(help="JSON lines: item_id, title, text?, categories?")],
    events: Annotated[
        Path, typer.Option(help="JSON lines in time order, as `events send` takes them.")
    ],
    report: Annotated[Path | None, typer.Option(help="Write the whole report here.")] = None,
    warmup_until: Annotated[
        str, typer.Option(help="Earlier events only build state: ISO 8601, or Unix time.")
    ] = "",
    no_learn: Annotated[bool, typer.Option("--no-learn", help="Predict only.")] = False,
    fast_only: Annotated[
        bool, typer.Option("--fast-only", help="Leave the language model as it is.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of initialisation, replay memory.")] = 0,
    compare: Annotated[
        str,
        typer.Option(help="popularity,click-rate,itemknn,frozen,static,sasrec or some of them."),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Evaluate on a recorded stream: predict each event, then learn from it. No Kafka needed.

    Every impression is ranked, and every click outside one against the whole catalogue,
    with nothing but what was known before it. Ties count against us.

    \b
    streamrec replay --items films.jsonl --events clicks.jsonl --report report.json
    streamrec replay --items films.jsonl --events clicks.jsonl --compare popularity,static
    """
    from streamrec import settings as reader
    from streamrec.bootstrap.replay import ReplayPlan, run_replay

    plan = ReplayPlan(
        items=items,
        events=events,
        warmup_until_ms=_time_ms(warmup_until) if warmup_until else None,
        learn=not no_learn,
        seed=seed,
        slow_lane=not fast_only,
        compare=tuple(name.strip() for name in compare.split(",") if name.strip()),
    )
    say("reading the stream and encoding the catalogue …")
    with Progress(
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} events"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=err,
        transient=True,
    ) as bar:
        task = bar.add_task("", total=0)
        result = run_replay(
            reader.load(),
            plan,
            lambda at: bar.update(task, completed=at.events, total=at.of, description=_now(at)),
        )
    if report is not None:
        try:
            report.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"{report} cannot be written: {error.strerror}") from None
    if as_json:
        print_json(result)
    else:
        _show(result)


def _now(at: ReplayProgress) -> str:
    parts = []
    if at.next_click["n"]:
        parts.append(f"NDCG@10 {at.next_click['ndcg@10']:.3f}")
    if at.impressions["n"]:
        parts.append(f"AUC {at.impressions['auc']:.3f}")
    return ", ".join(parts)


def _show(result: dict[str, Any]) -> None:
    contestants = {"streamrec": result, **result.get("compare", {})}
    for kind, columns in (
        ("next_click", ("n", "hr@10", "ndcg@10", "mrr")),
        ("impressions", ("n", "auc", "mrr", "ndcg@5", "ndcg@10")),
    ):
        halves = {name: r["second_half"][kind] for name, r in contestants.items()}
        if not halves["streamrec"]["n"]:
            continue
        rows = [
            [name, *(_cell(half[c]) for c in columns), _against(contestants[name])]
            for name, half in halves.items()
        ]
        title = f"{kind.replace('_', ' ')}, second half"
        heads = ["", *(f"{c}>" for c in columns), "streamrec's lead, 95 %"]
        out.print(table(title, heads, rows))
    learning = result["learning"]
    out.print(
        f"{learning['examples']:,} examples, {learning['steps']:,} steps, "
        f"{learning['generations']:,} generations, {learning['seconds']:.0f} s"
    )


def _cell(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _against(entry: dict[str, Any]) -> str:
    delta = entry.get("difference")
    if not delta:
        return ""
    mark = "" if delta["significant"] else " (not significant)"
    return f"{delta['mean']:+.4f} [{delta['low']:+.4f}, {delta['high']:+.4f}]{mark}"


def _time_ms(text: str) -> int:
    """ISO 8601 (UTC when it names no zone), or a number: above 1e11 milliseconds, else seconds."""
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise UserError(f"--warmup-until {text}: neither ISO 8601 nor a Unix time") from None
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(zoned.timestamp() * 1_000)
    return int(number if number > 1e11 else number * 1_000)
