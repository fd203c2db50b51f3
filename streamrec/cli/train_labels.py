"""``train --labels``: its options, and what it shows of a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from streamrec.cli.console import out, print_json, progress_bar, say, table, write_json
from streamrec.errors import UserError

STREAM_PANEL, LABELS_PANEL = "From a recorded stream", "From labelled texts"

LabelsOption = Annotated[
    str,
    typer.Option(
        help="Learn texts instead of a stream: JSON lines of `text` and `label` (0 or 1), or CSV "
        "with these columns; rows with the same `group` stay in one part.",
        metavar="FILE",
        rich_help_panel=LABELS_PANEL,
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        help="Hub id or directory, BERT-style or GPT-style; default: STREAMREC_ENCODER_MODEL.",
        rich_help_panel=LABELS_PANEL,
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Where the adapter goes; default: adapter-NAME, after the file.",
        metavar="DIRECTORY",
        rich_help_panel=LABELS_PANEL,
    ),
]
RankOption = Annotated[
    int, typer.Option(min=1, help="Of the adapter.", rich_help_panel=LABELS_PANEL)
]
LayersOption = Annotated[
    int,
    typer.Option(
        min=1,
        help="It changes so many of the last layers; those below run once per text.",
        rich_help_panel=LABELS_PANEL,
    ),
]
BatchOption = Annotated[
    int, typer.Option(min=1, help="Texts a step.", rich_help_panel=LABELS_PANEL)
]
RateOption = Annotated[
    float, typer.Option(min=0, help="Learning rate of the adapter.", rich_help_panel=LABELS_PANEL)
]
MaxTokensOption = Annotated[
    int, typer.Option(min=4, help="Tokens of a text that are read.", rich_help_panel=LABELS_PANEL)
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume", help="Go on where a run into --out was ended.", rich_help_panel=LABELS_PANEL
    ),
]


def check_options(context: typer.Context) -> None:
    """Raises UserError for an option of the other way to learn."""
    asked = bool(context.params["labels"])
    other, told = (STREAM_PANEL, "not") if asked else (LABELS_PANEL, "only")
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        given = source is not None and source.name == "COMMANDLINE"
        if given and getattr(parameter, "rich_help_panel", None) == other:
            raise UserError(f"{parameter.opts[0]} goes {told} with --labels")


def learn(
    labels: str,
    directory: Path | None,
    report: Path | None,
    as_json: bool,
    *,
    model: str,
    shares: tuple[float, float, float],
    epochs: int,
    patience: int,
    batch: int,
    rate: float,
    seed: int,
    rank: int,
    layers: int,
    max_tokens: int,
    resume: bool,
) -> None:
    """Learn, and show what came of it."""
    from streamrec import settings as reader
    from streamrec.lab.labels.fitting import FitPlan
    from streamrec.lab.labels.main import LabelsPlan, run_labels

    stem = Path(labels).name.partition(".")[0]
    plan = LabelsPlan(
        labels,
        directory or Path(f"adapter-{stem or 'labels'}"),
        model,
        FitPlan(epochs, patience, batch, rate, seed),
        shares,
        rank,
        layers,
        max_tokens,
        resume,
    )
    with progress_bar("texts") as advance:
        result = run_labels(
            reader.load(),
            plan,
            say,
            lambda doing, done, of, rate: advance(done, of, _now(doing, rate)),
        )
    if report is not None:
        write_json(report, result)
    if as_json:
        print_json(result)
    else:
        _show(result)


def _now(doing: str, rate: float) -> str:
    return f"{doing}, {rate:,.0f} a second" if rate else doing


def _show(result: dict[str, Any]) -> None:
    best = result["best_epoch"]
    rows = [
        [
            f"{epoch['number'] or 'frozen model'}{' (best)' if epoch['number'] == best else ''}",
            "-" if epoch["loss"] is None else f"{epoch['loss']:.4f}",
            f"{epoch['dev_loss']:.4f}",
            f"{epoch['dev_accuracy']:.1%}",
            f"{epoch['seconds']:,.0f}",
        ]
        for epoch in result["epochs"]
    ]
    out.print(table("", ["epoch", "loss>", "dev loss>", "dev accuracy>", "s>"], rows))
    out.print()
    out.print(_judged(result["test"]))
    out.print()
    out.print(f"adapter written to {result['written']}")
    if result["test"]["adapter_over_frozen"]["low"] <= 0:
        say("it is not shown to be better than the frozen model")


def _judged(test: dict[str, Any]) -> Any:
    rows = []
    for name in ("majority", "frozen", "adapter"):
        one, over = test[name], test.get(f"adapter_over_{name}")
        rows.append(
            [
                name,
                f"{one['accuracy']:.1%} [{one['low']:.1%}, {one['high']:.1%}]",
                f"{one['log_loss']:.4f}",
                _over(over),
            ]
        )
    heads = [f"{test['n']:,} texts to judge by", "right>", "log loss>", "adapter over it, 95 %"]
    return table("", heads, rows)


def _over(difference: dict[str, Any] | None) -> str:
    if difference is None:
        return ""
    return (
        f"{difference['difference']:+.1%} [{difference['low']:+.1%}, {difference['high']:+.1%}], "
        f"p = {difference['p']:.2g}"
    )
