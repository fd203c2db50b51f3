"""``train``: learn offline from a recorded stream, and write a generation to start from; or learn
labelled texts, and write an adapter (``train_labels``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamrec.cli import train_labels
from streamrec.cli.console import JsonOption, out, print_json, progress_bar, say, table, write_json
from streamrec.cli.replay_replies import first_words
from streamrec.core.tasks import RANKING, REPLIES
from streamrec.errors import UserError

if TYPE_CHECKING:
    from streamrec.lab.replay.offline import OfflineProgress

STREAM = train_labels.STREAM_PANEL

ROWS = (
    ("next_click", ("hr@10", "ndcg@10", "mrr")),
    ("impressions", ("auc", "ndcg@10", "mrr")),
    ("calibration", ("log_loss", "ece")),
)
"""Of the table: parts of the report, and what is shown of each."""


def register(app: typer.Typer) -> None:
    """Add this command to ``app``."""
    app.command("train", rich_help_panel="Run")(train)


def train(
    context: typer.Context,
    *,
    task: Annotated[
        str, typer.Option(help="ranking; or replies: their first words, over --items.")
    ] = RANKING,
    items: Annotated[
        Path | None,
        typer.Option(help="JSON lines: item_id, title, text?, categories?", rich_help_panel=STREAM),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(
            help="JSON lines in time order, as `events send` takes them.", rich_help_panel=STREAM
        ),
    ] = None,
    dataset: Annotated[
        str,
        typer.Option(
            help="movielens-100k instead of files; fetched at first use.", rich_help_panel=STREAM
        ),
    ] = "",
    split: Annotated[
        str,
        typer.Option(help="Shares: train, validation, test. A stream is cut in time."),
    ] = "0.8,0.1,0.1",
    epochs: Annotated[int, typer.Option(min=1, help="Passes at most.")] = 5,
    patience: Annotated[
        int, typer.Option(min=1, help="Passes without a better validation before it stops.")
    ] = 2,
    first: Annotated[
        int, typer.Option(min=0, help="Only so many events; 0: all.", rich_help_panel=STREAM)
    ] = 0,
    head_only: Annotated[
        bool,
        typer.Option(
            "--head-only",
            "--fast-only",
            help="Leave the language model as it is.",
            rich_help_panel=STREAM,
        ),
    ] = False,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            help="Learn otherwise, once or more: a recipe's name; `list` shows them.",
            rich_help_panel=STREAM,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of everything that is drawn: order, memory, split of texts.")
    ] = 0,
    registry: Annotated[
        str,
        typer.Option(
            help="Where the generation goes; default: the registry of the loop.",
            rich_help_panel=STREAM,
        ),
    ] = "",
    labels: train_labels.LabelsOption = "",
    model: train_labels.ModelOption = "",
    out_directory: train_labels.OutOption = None,
    rank: train_labels.RankOption = 8,
    layers: train_labels.LayersOption = 2,
    batch: train_labels.BatchOption = 16,
    rate: train_labels.RateOption = 5e-4,
    max_tokens: train_labels.MaxTokensOption = 128,
    resume: train_labels.ResumeOption = False,
    report: Annotated[Path | None, typer.Option(help="Write the whole report here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Learn from a recorded stream, and write a generation that the loop can start from; or,
    with --labels, from texts somebody has labelled, and write an adapter that plain PEFT reads.

    The stream is cut in time. Statistics and features come from the same fold as in the loop,
    and the same learner reads the training part again and again until the validation part is
    predicted no better. The table compares the untrained ranker (frozen similarity and live
    statistics) with the trained one on the test part, which nothing else has seen.

    --recipe is for what the loop does not do, because it was measured to earn nothing.

    Then: STREAMREC_TRAINER_START_FROM=<generation> streamrec up

    --labels is apart from the loop: texts of your own, each labelled 0 or 1, and a BERT-style or
    GPT-style model. The table shows what the adapter adds to the frozen model, on texts that
    nothing else has seen. Killed, it goes on with --resume and ends in the same bits.

    --task replies teaches the words that replies start from, on sentences about your own catalogue
    that code can write: for every plan several.

    \b
    streamrec train --items films.jsonl --events clicks.jsonl --split 0.8,0.1,0.1
    streamrec train --dataset movielens-100k --first 20000 --epochs 3 --report report.json
    streamrec train --task replies --items films.jsonl
    streamrec train --labels reviews.jsonl --model HuggingFaceTB/SmolLM2-135M-Instruct --out liked
    """
    train_labels.check_options(context)
    if task == REPLIES:
        first_words(context, items, registry, report, seed=seed, as_json=as_json)
        return
    if task != RANKING:
        raise UserError(f"--task {task}: {RANKING} learns from a stream, {REPLIES} its first words")
    if labels:
        train_labels.learn(
            labels,
            out_directory,
            report,
            as_json,
            model=model,
            shares=_shares(split),
            epochs=epochs,
            patience=patience,
            batch=batch,
            rate=rate,
            seed=seed,
            rank=rank,
            layers=layers,
            max_tokens=max_tokens,
            resume=resume,
        )
        return
    from streamrec import settings as reader
    from streamrec.lab.replay.offline import Schedule
    from streamrec.lab.replay.offline_main import TrainPlan, run_training

    recipes = _names(recipe or [])
    if "list" in recipes:
        _show_recipes()
        return
    plan = TrainPlan(
        items=items,
        events=events,
        dataset=dataset,
        shares=_shares(split),
        schedule=Schedule(epochs, patience),
        seed=seed,
        train_adapter=not head_only,
        registry=registry,
        limit=first,
        recipes=recipes,
    )
    with progress_bar() as advance:
        advance(0, 0, "reading the stream")
        result = run_training(
            reader.load(), plan, say, lambda at: advance(at.done, at.of, _now(at))
        )
    if report is not None:
        write_json(report, result)
    if as_json:
        print_json(result)
    else:
        _show(result)
    if not result["best_epoch"]:
        raise typer.Exit(1)


def _names(given: list[str]) -> tuple[str, ...]:
    """From options that may each name several, by commas."""
    return tuple(name.strip() for text in given for name in text.split(",") if name.strip())


def _show_recipes() -> None:
    from streamrec.lab.recipes.names import described

    out.print(table("", ["recipe", "what it does", "measured"], list(map(list, described()))))


def _shares(text: str) -> tuple[float, float, float]:
    try:
        train_part, validation, test = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--split {text}: three numbers are needed, as in 0.8,0.1,0.1") from None
    return train_part, validation, test


def _now(at: OfflineProgress) -> str:
    return at.doing if at.gain != at.gain else f"{at.doing}; last validation {at.gain:.4f}"


def _show(result: dict[str, Any]) -> None:
    cut, best = result["split"], result["best_epoch"]
    out.print(
        f"{cut['train']:,} events ({cut['examples']:,} examples) to learn from, "
        f"{cut['validation']:,} to stop by, {cut['test']:,} to judge by"
    )
    rows = [
        [
            f"{epoch['number']}{' (best)' if epoch['number'] == best else ''}",
            f"{epoch['validation']:.4f}",
            *(_number(epoch["losses"].get(name)) for name in ("listwise", "encoder")),
            f"{epoch['seconds']:.0f}",
        ]
        for epoch in result["epochs"]
    ]
    heads = ["epoch", f"validation {result['metric']}>", "loss, head>", "loss, encoder>", "s>"]
    out.print(table("", heads, rows))
    out.print()
    out.print(_compared(result["test"]))
    if result["generation"] is None:
        own_method = result["best_epoch"] and "the loop has no such adapter"
        why = own_method or "no epoch was better than the untrained ranker"
        say(f"{why}: no generation was written")
        return
    out.print()
    out.print(f"{result['generation']} written to {result['registry']}")
    say(f"start the loop from it: STREAMREC_TRAINER_START_FROM={result['generation']} streamrec up")


def _compared(test: dict[str, Any]) -> Any:
    rows = []
    for kind, names in ROWS:
        before, after = test["before"][kind], test["after"][kind]
        if not before["n"]:
            continue
        differences = test["difference"].get(kind, {})
        shown = f"calibration, {before['of']}" if kind == "calibration" else kind
        for name in names:
            rows.append(
                [
                    shown.replace("_", " "),
                    name.replace("_", " "),
                    before["n"],
                    f"{before[name]:.4f}",
                    f"{after[name]:.4f}",
                    _interval(differences.get(name)),
                ]
            )
    heads = ["test part", "", "n>", "untrained>", "trained>", "difference, 95 %"]
    return table("", heads, rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _interval(delta: dict[str, Any] | None) -> str:
    if delta is None:
        return ""
    mark = "" if delta["significant"] else " (not significant)"
    return f"{delta['mean']:+.4f} [{delta['low']:+.4f}, {delta['high']:+.4f}]{mark}"
