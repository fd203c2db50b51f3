from __future__ import annotations

from io import StringIO

from rich.console import Console

from streamrec.apps.why import Why
from streamrec.cli import why_view as view
from streamrec.tasks.ranking.lists.attribution import ItemAttribution
from streamrec.tasks.ranking.lists.reasons import GROUPS
from tests.contract.test_explanations import ONE


def drawn(found: Why) -> str:
    console = Console(file=StringIO(), width=160)
    console.print(view.explained(found, ONE, {}, 61_100))
    return console.file.getvalue()


def hindsight(published: float) -> ItemAttribution:
    parts = dict.fromkeys(GROUPS, 0.25)
    return ItemAttribution(
        "i1", parts, parts, 0.5, 1.0, -2.0, 3.5, 0.8176, published, [0.75, -0.125]
    )


def test_parts_drivers_and_state_are_on_the_page():
    page = drawn(Why("request:r1", ONE, [hindsight(0.8176)]))
    for text in ("81.8%", "+3.50", "+0.50", "i9", "+0.750", "before events-0 12, items-0 3"):
        assert text in page
    assert "do not give" not in page


def test_weights_that_do_not_give_what_was_published_are_told():
    assert "do not give the published" in drawn(Why("request:r1", ONE, [hindsight(0.5)]))


def test_a_list_whose_weights_are_gone_is_shown_as_published():
    page = drawn(Why("request:r1", ONE, (), problem="its scores cannot be taken apart: gone"))
    assert "cannot be taken apart: gone" in page
    assert "25.0%" in page
