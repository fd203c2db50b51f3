"""``replay --task copy``: recorded tests of wordings, foretold and then learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamrec.cli.console import out, print_json, progress_bar, say, table, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from streamrec.lab.replay.copy_plan import CopyPlan


def show_copy(plan: CopyPlan, report: Path | None, *, as_json: bool) -> None:
    """Run it; write and print what came of it."""
    from streamrec import settings as reader
    from streamrec.lab.replay.copy_main import run_copy_replay

    say("reading the tests and loading the language model …")
    with progress_bar("tests") as advance:
        result = run_copy_replay(reader.load(), plan, lambda done, of: advance(done, of, ""))
    if report is not None:
        write_json(report, result)
    if as_json:
        print_json(result)
        return
    for name in ("second_half", "scored"):
        if name in result:
            out.print(_table(result[name], name.replace("_", " ")))
    learning = result["learning"]
    out.print(
        f"{learning['tests']:,} tests learned in {learning['steps']:,} steps, "
        f"{learning['seconds']:.0f} s"
    )


def _table(part: dict[str, Any], name: str) -> Table:
    from streamrec.lab.replay.copy_plan import OURS

    rows = [[OURS, *_numbers(part), "", ""]]
    for other, entry in part["compare"].items():
        leads = entry["difference"]
        rows.append(
            [other, *_numbers(entry), *map(_lead, (leads["pairs.p05"], leads["pick.lift"]))]
        )
    oracle, uplift = part["pick"]["oracle"], part["bandit"]["300"]["thompson"]["lift"]
    title = (
        f"{name}: {part['tests']:,} tests; best in hindsight {_percent(oracle)}; Thompson without "
        f"a prior, 300 impressions {_percent(uplift)}"
    )
    heads = ["", "pairs>", "p < .05>", "p < .001>", "pick>", "bandit 300>"]
    return table(title, [*heads, "streamrec's lead, p < .05>", "lead, pick>"], rows)


def _numbers(part: dict[str, Any]) -> list[str]:
    pairs = [_cell(part["pairs"][name]["accuracy"]) for name in ("all", "p05", "p001")]
    lifts = (part["pick"]["lift"], part["bandit"]["300"]["prior"]["lift"])
    return [*pairs, *map(_percent, lifts)]


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f} %"


def _lead(delta: dict[str, float] | None) -> str:
    if delta is None:
        return "-"
    return f"{delta['mean']:+.3f} [{delta['low']:+.3f}, {delta['high']:+.3f}]"
