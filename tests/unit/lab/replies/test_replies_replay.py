"""A replay of replies: people, what they ask, and four ways to learn, by a tiny model."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.core.events import Interaction, Item, Kind
from streamrec.core.replies.brief import Brief
from streamrec.core.replies.names import Names
from streamrec.core.replies.plan import PLANS
from streamrec.core.replies.rendering import rendered
from streamrec.errors import UserError
from streamrec.lab.replies.people import COMMON, FREE, PLANNED, tastes, traits
from streamrec.lab.replies.questions import questions
from streamrec.lab.replies.replay import ADAPTER, ARMS, BOTH, NONE, RepliesReplay
from streamrec.lab.replies.report import interval, report_of
from streamrec.lab.replies.second_look import Titles
from streamrec.lab.replies.start import StartConfig, made_up_briefs, train_start
from streamrec.tasks.replies.model.learner import RepliesConfig
from tests.fakes.causal_models import tiny_writer

ITEMS = [
    Item(f"i{n}", f"Marvelgate{n:02d}", categories=("Drama", "War") if n % 2 else ("Comedy",))
    for n in range(40)
]


def stream() -> list[Interaction]:
    return [
        Interaction(f"e{n}", f"u{n % 20}", f"i{(n * 7 + n // 20) % 40}", Kind.CLICK, 1000 + n)
        for n in range(700)
    ]


def test_a_seed_is_a_taste_and_only_one_trait_is_personal() -> None:
    found = [tastes(seed) for seed in range(12)]
    assert found[3] == tastes(3)
    assert len({one.personal for one in found}) > 1
    for one in found:
        assert set(one.weights) | {one.personal} == {*PLANNED, *FREE}
        assert {abs(weight) for weight in one.weights.values()} == {COMMON}
        seen = dict.fromkeys((*PLANNED, *FREE), 1.0)
        other = seen | {one.personal: -1.0}
        assert (one.accepts(seen, varied=True) > one.accepts(other, varied=True)) == (
            one.varied > 0
        )
        assert one.accepts(seen, varied=True) != one.accepts(seen, varied=False)


def test_traits_are_those_of_the_text_not_of_the_plan() -> None:
    brief = Brief("", tuple(ITEMS[:3]), tuple(ITEMS[5:6]), PLANS[-1])
    seen = traits(brief, rendered(brief, "I hope you enjoy [[1]], it is Comedy."))
    assert {name for name, value in seen.items() if value > 0} == {"warm", "kinds", "speaker"}
    seen = traits(brief, rendered(brief, "After [[A]], try [[1]] or [[2]]. Would that do?"))
    assert {name for name, value in seen.items() if value > 0} == {"long", "history", "question"}


def test_questions_are_of_the_stream_in_its_order_and_of_its_past() -> None:
    asked = questions(ITEMS, stream(), 20, seed=1)
    assert [one.query for one in asked] == [one.query for one in questions(ITEMS, stream(), 20, 1)]
    for one in asked:
        assert len({item.item_id for item in (*one.listed, *one.history)}) == 5
    with pytest.raises(ValueError, match="are needed"):
        questions(ITEMS, stream()[:450], 400, seed=1)


def test_the_first_words_are_learned_and_a_question_is_asked_with_every_plan() -> None:
    import random

    model, losses = tiny_writer(), []
    train_start(model, ITEMS, 0, StartConfig(steps=6), lambda _, __, loss: losses.append(loss))
    assert losses[-1] < losses[0]
    briefs = made_up_briefs(ITEMS, random.Random(0))
    assert len(briefs) == 8
    assert len({brief.plan.history for brief in briefs}) == 1
    with pytest.raises(UserError, match="at least 5"):
        train_start(model, ITEMS[:3], 0, StartConfig(steps=1))


def test_every_arm_is_told_of_and_differences_are_paired() -> None:
    asked, people, titles = questions(ITEMS, stream(), 20, seed=0), tastes(0), Names(ITEMS)
    config = RepliesConfig(batch=8, replays=0)
    replay = RepliesReplay(tiny_writer(), titles, people, 0, config)
    seen = []
    arms = replay.run(asked, lambda done, of, _: seen.append((done, of)))
    assert seen[-1] == (20, 20)
    assert len(arms[NONE].told) == 8
    assert len(arms[BOTH].told) == 20
    first = [arms[name].told[0] for name in ARMS]
    assert len({one.said.text for one in first}) == 1  # nobody has learned anything yet
    report = report_of(arms, asked, Titles(ITEMS), people, 0)
    assert report["acceptance"][NONE]["difference"] == 0.0
    assert report["grounded"] == {"n": 68, "share": 1.0, "named": [], "alike": {}}
    assert sum(report["fallbacks"].values()) == round(68 * report["fallback_share"])
    assert report["persona_match"][BOTH]["n"] == 4
    assert 0.0 <= report["fallback_share"] <= 1.0
    assert len(report["along"][ADAPTER]) == 10


def test_an_interval_holds_its_mean() -> None:
    found = interval(np.array([0.0, 1.0, 1.0, 1.0] * 20), 0, "share")
    assert found["low"] < found["share"] == 0.75 < found["high"]
    assert found["n"] == 80


def test_a_second_look_finds_what_is_of_no_list() -> None:
    films = ("Marvelgate (1999)", "The Long Rain (2001)", "Sound to You (2003)", "Zoë", "War")
    titles = Titles(Item(name, name, categories=("War",)) for name in films)
    said = "Try The Long Rain. How does that sound to you?"
    assert titles.look(said, ["The Long Rain (2001)"]) == ((), ("sound to you",))
    assert titles.look(said, []).named == ("The Long Rain",)
    assert titles.look("Since you chose MARVELGATE, try Zoe.", []).named == ("MARVELGATE", "Zoe")
    assert titles.look("It is listed under War.", []) == ((), ("War",))
