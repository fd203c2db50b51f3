"""What a person reads about live outcomes."""

from __future__ import annotations

import io

from rich.console import Console

from streamrec.apps.release_fields import fates
from streamrec.cli import live_view
from streamrec.core.release.canary import Canary
from streamrec.core.release.live_report import LiveGeneration, LiveReport, LiveTrial
from streamrec.core.release.registry import RegistryState
from streamrec.core.release.service_levels import Level

STATE = RegistryState(3, "g1", canary=Canary("g2", 0.2, "g2", 1_000))
TRIAL = LiveTrial("g2", "g1", 1_000, "undecided", -0.02, -0.1, 0.06, "clicked 0.1 of 60 lists")
REPORT = LiveReport(
    9_000,
    (
        LiveGeneration("g1", 1200, 300, 240, 120, 0.21, 0.012, 930.4),
        LiveGeneration("g2", 60, 20, 6, 0, None, None, 0.0),
    ),
    TRIAL,
)


def text(renderable) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def test_generations_are_side_by_side_with_the_canary_in_words() -> None:
    shown = text(live_view.picture(STATE, REPORT, {"g1": Level(400, 3, 0, 41.7)}, 61_000))
    lines = shown.splitlines()
    newest = next(line for line in lines if line.strip().startswith("g2"))
    oldest = next(line for line in lines if line.strip().startswith("g1"))
    assert lines.index(newest) < lines.index(oldest)
    assert newest.split()[:6] == ["g2", "canary", "60", "20", "6", "0.1"]
    for cell in ("champion", "1,200", "0.2", "0.210 ± 0.012", "930", "42", "3"):
        assert cell in oldest
    assert "canary g2 answers 20% of the users since 60 s, undecided: clicked 0.1 of 60" in shown


def test_without_a_report_it_says_how_to_get_one() -> None:
    assert "STREAMREC_CANARY_SHARE" in text(live_view.picture(RegistryState(), None, {}, 0))


def test_a_canary_that_just_came_has_no_outcomes_yet() -> None:
    line = live_view.canary_line(STATE, None, 2_000)
    assert line is not None
    assert "nothing is known of its outcomes yet" in line.plain
    assert live_view.canary_line(RegistryState(), REPORT, 0) is None


def test_programs_get_everything() -> None:
    fields = live_view.fields(STATE, REPORT, {"g1": Level(400)})
    assert fields["canary"]["share"] == 0.2
    assert fields["outcomes"]["trial"]["verdict"] == "undecided"
    assert fields["levels"]["g1"]["lists"] == 400


def test_the_list_names_the_canary() -> None:
    assert fates(STATE, []) == {"g1": "champion", "g2": "canary for 20%"}
