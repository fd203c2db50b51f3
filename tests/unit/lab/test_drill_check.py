"""A clean pass, and everything that must not be equal to it unnoticed."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from streamrec.core.events import (
    Interaction,
    Item,
    Kind,
    Recommendation,
    RecommendedItem,
    ReplyMessage,
    Trigger,
)
from streamrec.core.examples import TrainingBatch
from streamrec.core.ledger.ledger import Ledger
from streamrec.core.release import registry
from streamrec.core.release.registry import ControlRecord, RegistryState
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import Located
from streamrec.core.state.statistics import Statistics
from streamrec.core.tasks import RANKING
from streamrec.lab.measures import drill_check
from streamrec.lab.measures.drill_check import CleanPass, Found, StreamPlace
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_fold
from streamrec.tasks.ranking.features import FEATURE_SET
from tests.fakes.kept import Kept

RULES = RankingRules(1, attribution_window_ms=5_000, sampled_negatives=3)
ITEMS = [Item(f"i{n}", f"Item {n}") for n in range(8)]
LOG = [
    Located(
        n,
        n,
        Interaction(
            f"e{n}",
            f"u{n % 3}",
            f"i{n * 5 % 8}",
            Kind.VIEW if n % 2 else Kind.CLICK,
            1_000_000 + n * 700,
            impression_id=f"p{n // 4}" if n % 4 else None,
        ),
    )
    for n in range(40)
]


def catalogue() -> Catalogue:
    made = Catalogue()
    made.put(ITEMS)
    return made


@pytest.fixture
def clean() -> CleanPass:
    return drill_check.clean_pass(0, LOG, len(LOG), RULES, catalogue())


def worker(runs: list[list[Located]]) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
    """What a feature worker that took over at each run leaves in the store."""
    kept = Kept()
    examples: list[Any] = []
    for run in runs:
        known = catalogue()
        fold = ranking_fold(0, RULES, known, Statistics(known))
        kept.hand_to(fold)
        result = kept.feed(fold, run)
        examples += [*result.examples[RANKING], *result.forgotten]
    return kept.users, kept.rows, examples


def in_runs(size: int) -> list[list[Located]]:
    return [LOG[start : start + size] for start in range(0, len(LOG), size)]


def test_a_worker_killed_after_every_few_events_equals_the_clean_pass(clean: CleanPass) -> None:
    users, rows, _ = worker(in_runs(3))
    assert any(record["p"] for record in users.values()), "nothing is pending: too easy"
    assert drill_check.check_state(clean, Found(40, users, rows)).kept


def test_forgetting_somebody_half_way_is_the_same_for_both() -> None:
    last = LOG[24]
    forget = Interaction("forget", "u1", "", Kind.FORGET, last.event.occurred_at_ms)
    log = [*LOG[:25], Located(25, last.produced_at_ms, forget)]
    log += [replace(at, offset=at.offset + 1) for at in LOG[25:]]
    clean = drill_check.clean_pass(0, log, len(log), RULES, catalogue())
    users, rows, told = worker([log[at : at + 3] for at in range(0, len(log), 3)])
    assert drill_check.check_state(clean, Found(41, users, rows)).kept
    assert len(told) == clean.examples
    ends = drill_check.clean_pass(0, log[:26], 26, RULES, catalogue())
    assert "u1" in drill_check.clean_pass(0, LOG[:25], 25, RULES, catalogue()).users
    assert "u1" not in ends.users


def test_a_lost_event_is_seen(clean: CleanPass) -> None:
    users, rows, _ = worker(in_runs(3)[:-1])  # 39 of 40 events
    broken = drill_check.check_state(clean, Found(39, users, rows))
    assert broken.lost == 1
    assert broken.different


def test_an_event_folded_twice_is_seen(clean: CleanPass) -> None:
    again = replace(LOG[7], event=replace(LOG[7].event, event_id="another name"))
    users, rows, _ = worker([LOG[:8], [again], LOG[8:]])
    broken = drill_check.check_state(clean, Found(40, users, rows))
    assert broken.doubled == 1
    assert broken.different


def test_one_bit_of_one_count_is_seen(clean: CleanPass) -> None:
    users, rows, _ = worker(in_runs(10))
    rows = copy.deepcopy(rows)
    name = next(name for name in rows if name.startswith("i/"))
    counts = rows[name]["s"]
    at = next(n for n, value in enumerate(counts) if isinstance(value, float) and value)
    counts[at] = counts[at] * (1 + 2**-52)
    assert drill_check.check_state(clean, Found(40, users, rows)).different == [f"row {name}"]


def test_a_user_that_nobody_sent_is_seen(clean: CleanPass) -> None:
    users, rows, _ = worker(in_runs(40))
    users["ghost"] = users["u1"]
    assert drill_check.check_state(clean, Found(40, users, rows)).different == ["user ghost"]


def ledger_of(examples: list[Any]) -> Ledger:
    ledger = Ledger()
    for start in range(0, len(examples), 4):
        part = tuple(examples[start : start + 4])
        batch = TrainingBatch(0, 0, part[-1].offset, FEATURE_SET, part)
        ledger, _ = ledger.admit(batch)
    return ledger


def test_the_ledger_proves_that_each_example_was_trained_once(clean: CleanPass) -> None:
    _, _, examples = worker(in_runs(3))
    assert drill_check.check_training({0: clean}, ledger_of(examples)).kept
    assert drill_check.check_training({0: clean}, ledger_of(examples[:-1])).lost == 1
    assert drill_check.check_training({0: clean}, Ledger()).lost == len(examples)


def test_one_lost_behind_one_doubled_is_seen(clean: CleanPass) -> None:
    _, _, examples = worker(in_runs(3))
    ledger = ledger_of(examples)
    mark = ledger.partitions[0]
    swapped = mark.checksum + 1
    broken = drill_check.check_training({0: clean}, Ledger({0: replace(mark, checksum=swapped)}))
    assert (broken.lost, broken.doubled) == (1, 1)


def answer(
    request: str, generation: str = "g1", at_ms: int = 100, worker_id: str = "serving-1"
) -> Recommendation:
    return Recommendation(
        recommendation_id=f"request:{request}",
        user_id="u",
        items=(),
        generation=generation,
        trained_through={},
        trigger=Trigger.REQUEST,
        trigger_id=request,
        triggered_at_ms=0,
        state_position=0,
        served_at_ms=at_ms,
        worker_id=worker_id,
    )


def test_a_request_without_an_answer_is_lost() -> None:
    broken = drill_check.check_answers(["a", "b", "c"], [answer("a"), answer("c"), answer("c")])
    assert broken.lost == 1
    assert broken.different == ["b"]


def test_letters_count_once_by_the_place_of_what_was_refused() -> None:
    first, second, third = (StreamPlace("events", 0, n) for n in range(3))
    broken, again = drill_check.check_dead_letters([first, second], [first, second, first])
    assert broken.kept
    assert again == 1
    broken, _ = drill_check.check_dead_letters([first, second], [first, third])
    assert broken.lost == 1
    assert len(broken.different) == 2


def control(revision: int, champion: str) -> ControlRecord:
    state = RegistryState(revision=revision, champion=champion)
    return ControlRecord(registry.Action.ACTIVATE, "trainer", "", 0, state, champion)


CONTROLS = [(50, control(1, "g1")), (200, control(2, "g2"))]


def test_lists_that_follow_the_control_log_are_in_order() -> None:
    answers = [answer("b", "g2", 300), answer("a", "g1", 100), answer("c", "g1", 250, "serving-2")]
    assert drill_check.mixed(CONTROLS, answers) == []


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param([answer("a", "g2", 100)], id="before it was champion"),
        pytest.param([answer("b", "g2", 300), answer("a", "g1", 301)], id="left behind already"),
        pytest.param([answer("b", "g1", 300), answer("a", "g2", 300)], id="two in a micro-batch"),
        pytest.param([answer("a", "g9", 300)], id="never champion"),
    ],
)
def test_a_list_of_a_generation_its_worker_could_not_have_is_mixed(
    wrong: list[Recommendation],
) -> None:
    assert drill_check.mixed(CONTROLS, wrong) == ["request:a"]


def a_list(user: str, request: str, *items: str) -> Recommendation:
    named = tuple(RecommendedItem(item, 0.5) for item in items)
    return Recommendation(
        f"request:{request}", user, named, "g", {}, Trigger.REQUEST, request, 1, 0, 2, "s"
    )


def a_reply(user: str, request: str, *items: str, text: str = "words") -> ReplyMessage:
    return ReplyMessage(
        f"rp-{request}", user, f"request:{request}", request, None, 1_000, True, text, items, (),
        1, 2, "r",
    )  # fmt: skip


LISTS = [a_list("ann", "r1", "a", "b"), a_list("ben", "r2", "c"), a_list("ann", "r1", "b", "d")]
SAID = [a_reply("ann", "r1", "a"), a_reply("ann", "r1", "a"), a_reply("ben", "r2", "c")]
NOTED = {"rp-r1", "rp-r2"}


def test_one_reply_to_every_list_that_was_asked_about() -> None:
    broken, mixed = drill_check.check_replies(["r1", "r2"], LISTS, SAID, NOTED)
    assert broken.kept
    assert mixed == []


@pytest.mark.parametrize(
    ("asked", "more", "counts"),
    [
        (["r1", "r2", "r3"], [], (1, 0, ["r3"], 0)),
        (["r1", "r2"], [a_reply("ann", "r1", "b", text="others")], (0, 1, ["r1"], 0)),
        (["r1"], [], (0, 0, ["r2"], 0)),
        (["r1", "r2"], [a_reply("ben", "r2", "a")], (0, 1, ["r2"], 1)),
        (["r1", "r2", "r4"], [a_reply("ben", "r4")], (0, 0, [], 1)),
    ],
)
def test_a_reply_lost_doubled_or_mixed_up(asked, more, counts) -> None:
    broken, mixed = drill_check.check_replies(asked, LISTS, [*SAID, *more], NOTED)
    assert (broken.lost, broken.doubled, broken.different, len(mixed)) == counts
