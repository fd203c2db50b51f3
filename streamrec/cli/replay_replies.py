"""``replay --task replies`` and ``train --task replies``: simulated people; the first words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamrec.cli.console import out, print_json, progress_bar, say, table, write_json
from streamrec.core.tasks import REPLIES
from streamrec.errors import UserError

OF_FIRST_WORDS = ("--task", "--items", "--seed", "--registry", "--report", "--json")

if TYPE_CHECKING:
    import typer

    from streamrec.lab.replies.plan import RepliesPlan


def replies_plan(
    items: Path | None, events: Path | None, questions: int, start: Path | None, seed: int
) -> RepliesPlan:
    """Raises UserError."""
    from streamrec.lab.replies.plan import RepliesPlan

    if items is None or events is None:
        raise UserError("--items and --events are needed: the stream, as files of JSON lines")
    return RepliesPlan(items, events, questions, seed, start)


def show_replies(plan: RepliesPlan, report: Path | None, *, as_json: bool) -> None:
    """Run it; write and print what came of it."""
    from streamrec import settings as reader
    from streamrec.lab.replies.main import run_replies_replay
    from streamrec.lab.replies.plan import SECONDS_EACH

    minutes = plan.questions * SECONDS_EACH / 60
    say(
        f"{plan.questions:,} questions, four ways to learn: about {minutes:.0f} minutes on a core "
        "of one's own"
    )
    with progress_bar("") as advance:
        result = run_replies_replay(reader.load(), plan, advance)
    if report is not None:
        write_json(report, result)
    if as_json:
        print_json(result)
        return
    rows = [[name, *_numbers(part)] for name, part in result["acceptance"].items()]
    heads = ["what learns", "first fifth>", "last fifth>", "difference to none, 95 %"]
    out.print(table(f"true acceptance, {result['questions']:,} questions", heads, rows))
    grounded, match = result["grounded"], result["persona_match"]["both"]
    out.print(
        f"grounded {grounded['share']:.1%} of {grounded['n']:,}; templates spoke in "
        f"{result['fallback_share']:.1%}; variety {_ratio(result['distinct2_ratio'])} of the "
        f"start's; {_nats(result['kl_nats']['adapter'])} nats a reply from it; plans that suit "
        f"{match['share']:.0%} [{match['low']:.0%}, {match['high']:.0%}], by chance 50 %"
    )


def first_words(
    context: typer.Context,
    items: Path | None,
    registry: str,
    report: Path | None,
    *,
    seed: int,
    as_json: bool,
) -> None:
    """Train the adapter that replies start from, write a generation, say where it is."""
    from streamrec import settings as reader
    from streamrec.lab.replies.main import run_first_words
    from streamrec.lab.replies.plan import RepliesPlan

    vain = [name for name in given_options(context) if name not in OF_FIRST_WORDS]
    if vain:
        raise UserError(f"{', '.join(vain)}: of no use with --task {REPLIES}")
    if items is None:
        raise UserError("--items is needed: the catalogue, a file of JSON lines")
    with progress_bar("steps") as advance:
        result = run_first_words(reader.load(), RepliesPlan(items, seed=seed), registry, advance)
    if report is not None:
        write_json(report, result)
    if as_json:
        print_json(result)
        return
    out.print(
        f"{result['generation']} written to {result['registry']}: {result['nats_per_token']:.2f} "
        f"nats a token, {result['processor_s']:.0f} s of processor time"
    )
    say(f"let it speak: streamrec adapters activate {result['generation']} --task replies")
    say(
        f"start learning from it: STREAMREC_TRAINER_START_FROM={result['generation']} streamrec "
        "worker trainer --task replies"
    )


def given_options(context: typer.Context) -> list[str]:
    """The options that the command line names."""
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if (source := context.get_parameter_source(parameter.name or "")) is not None
        and source.name == "COMMANDLINE"
    ]


def _numbers(part: dict[str, Any]) -> list[str]:
    difference = f"{part['difference']:+.3f} [{part['low']:+.3f}, {part['high']:+.3f}]"
    return [f"{part['first']:.3f}", f"{part['last']:.3f}", difference]


def _nats(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
