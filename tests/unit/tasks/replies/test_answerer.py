"""From lists to replies: who speaks, what is kept, what becomes of what is refused or late."""

import json
import threading
from dataclasses import replace

import pytest

from streamrec.core import topics
from streamrec.core.events import Item, Kind, Recommendation, RecommendedItem, Source, Trigger
from streamrec.core.replies.plan import PLANS
from streamrec.core.replies.rules import read_rules
from streamrec.core.state.user_state import UserState
from streamrec.errors import Unavailable
from streamrec.ports import Delivered, Writes
from streamrec.ports.edges import Edges
from streamrec.ports.generating import Wanted, Written
from streamrec.tasks.replies.answerer import EVERY_ONE, ReplyAnswerer, ReplyShelf, SayingRules
from streamrec.tasks.replies.made import FINAL, MadeReply, packed, reply_id_of, unpacked
from streamrec.tasks.replies.reply_model import ONLY_TEMPLATES, ReplyModel
from tests.fakes.clock import FakeClock
from tests.fakes.publisher import FakePublisher
from tests.fakes.store import FakePartitionStore
from tests.fakes.streams import CODEC

ITEMS = [Item(f"i{n}", f"The Film of {n} Stones", "", ("Drama",)) for n in range(9)]
SAID = "You might like [[1]]. "


class Shelf:
    """Remembers as Redis does: the first one made stands."""

    def __init__(self) -> None:
        self.kept: dict[str, MadeReply] = {}
        self.said: dict[tuple[str, str], list[object]] = {}

    def keep(self, made, now_ms):
        through = [unpacked(packed(one)) for one in made]
        assert through == list(made)
        return [self.kept.setdefault(one.reply_id, one) for one in through]

    def turns(self, user_id, conversation_id):
        return self.said.get((user_id, conversation_id), [])

    def add(self, user_id, conversation_id, turn):
        self.said.setdefault((user_id, conversation_id), []).append(turn)


class World:
    def __init__(self, **rules) -> None:
        self.clock, self.store, self.shelf = FakeClock(), FakePartitionStore(), Shelf()
        self.said = []
        history = UserState(history=("i7", "i8"), history_ms=(1, 2))
        writes = Writes(users={"ann": history.to_record()})
        self.store.commit(Source(topics.EVENTS, 0), 0, 1, writes)
        edges = Edges(self.store, FakePublisher(), CODEC, self.clock, lambda _: 0)
        items = iter([ITEMS])
        self.answerer = ReplyAnswerer(
            edges,
            ReplyShelf(self.shelf.keep, self.shelf.turns, self.shelf.add),
            lambda: next(items, []),
            worker_id="replies-1",
            rules=SayingRules(**rules),
            say=self.said.append,
        )
        self.answerer.refresh()

    def answer(self, model: ReplyModel, *lists: Recommendation):
        asked, _ = self.answerer.asked([self.message(one) for one in lists])
        return self.answerer.answer(asked, model)

    def message(self, about: Recommendation) -> Delivered:
        now_ms = self.clock.now_ms()
        return Delivered(topics.RECOMMENDATIONS, 0, 0, now_ms, b"ann", b"", about)


def about(name: str = "q1", *items: str, **more) -> Recommendation:
    ids = items or ("i1", "i2", "i3")
    fields = {"query": "a quiet film", "conversation_id": "c", "wants_reply": True, **more}
    return Recommendation(
        f"request:{name}", "ann", tuple(RecommendedItem(one, 0.5) for one in ids), "g1", {},
        Trigger.REQUEST, name, 1, 0, 2, "serving-1", **fields,
    )  # fmt: skip


def writer(text: str = SAID) -> ReplyModel:
    """A model that always writes this."""

    def write(wanted, on_text):
        return [Written(text, (1, 2), (3, 4), -1.5, finished=True) for _ in wanted]

    return ReplyModel("g000007-77777777", {"0": 3}, write=write)


def only(answered):
    (answer,) = answered.answers
    return answer


def test_a_model_speaks_and_the_event_says_what_can_be_learned():
    answer = only(World().answer(writer(), about()))
    reply, event = answer.value, answer.beside[topics.EVENTS]
    assert reply.text == "You might like The Film of 1 Stones."
    assert reply.items == ("i1",)
    assert reply.generation == "g000007-77777777"
    assert reply.fallback is None
    assert not answer.empty
    assert event.kind is Kind.REPLY
    assert event.event_id == event.reply_id == reply.reply_id == reply_id_of(about())
    noted = json.loads(event.reply_log)
    assert noted["generation"] == reply.generation
    assert noted["token_ids"] == [3, 4]
    assert noted["items"] == ["i1"]
    assert PLANS[noted["plan"]].phrase == reply.plan
    assert CODEC.decode(topics.REPLIES, CODEC.encode(topics.REPLIES, reply)) == reply


def test_without_a_model_a_template_speaks_and_teaches_the_plans_alone():
    answer = only(World().answer(ONLY_TEMPLATES, about()))
    assert answer.value.fallback == "no-model"
    assert answer.value.generation is None
    assert "The Film of 1 Stones" in answer.value.text
    noted = json.loads(answer.beside[topics.EVENTS].reply_log)
    assert noted["generation"] == ""
    assert "token_ids" not in noted


@pytest.mark.parametrize(
    ("text", "code"),
    [("You might like [[9]].", "unknown-slot"), ("Nothing.", "no-item"), ("[[1]] [[", "markup")],
)
def test_what_may_not_be_said_is_said_by_a_template_and_counts_against_the_model(text, code):
    answer = only(World().answer(writer(text), about()))
    assert answer.value.fallback == code
    assert answer.value.generation is None
    assert answer.empty


def drawing(*texts: str) -> tuple[ReplyModel, list[Wanted]]:
    """A model that writes these in turn, and what it was asked for."""
    asked, left = [], list(texts)

    def write(wanted, on_text):
        asked.extend(wanted)
        text = left.pop(0)
        return [Written(text, (1, 2), (3, len(left)), -1.5, finished=True) for _ in wanted]

    return ReplyModel("g000007-77777777", {"0": 3}, write=write), asked


def test_what_is_refused_is_written_once_more_by_another_seed():
    model, asked = drawing("Nothing.", SAID)
    answer = only(World().answer(model, about()))
    assert answer.value.text == "You might like The Film of 1 Stones."
    assert (answer.value.fallback, answer.empty) == (None, False)
    first, second = asked
    assert replace(second, seed=first.seed) == first
    assert second.seed != first.seed
    assert json.loads(answer.beside[topics.EVENTS].reply_log)["token_ids"] == [3, 0]


def test_what_is_refused_twice_is_refused_and_who_is_late_is_not_asked_again():
    model, asked = drawing("Nothing.", "[[1]] [[", SAID)
    answer = only(World().answer(model, about()))
    assert (answer.value.fallback, len(asked)) == ("markup", 2)
    world = World(max_wait_ms=1_000)

    def slowly(wanted, on_text):
        asked.extend(wanted)
        world.clock.pass_ms(2_000)
        return [Written("Nothing.", (1,), (2,), -1.0, finished=True) for _ in wanted]

    answer = only(world.answer(ReplyModel("g1", {}, write=slowly), about()))
    assert (answer.value.fallback, len(asked)) == ("no-item", 3)


def test_nobody_without_a_history_is_told_of_one():
    model, asked = drawing(*[SAID] * 40)
    world = World()
    for number in range(40):
        world.answer(model, replace(about(f"q{number}"), user_id="bob"))
    assert len(asked) == 40
    assert not any("History: yes" in one.rest for one in asked)


def test_a_blocked_word_is_refused_and_a_flagged_one_waits_where_somebody_looks():
    rules = read_rules(["might", "?like"], "rules")
    assert only(World(blocks=rules).answer(writer(), about())).value.fallback == "blocked"
    flagged = read_rules(["?like"], "rules")
    assert only(World(blocks=flagged).answer(writer(), about())).value.fallback is None
    world = World(blocks=flagged, review_flagged=True)
    answer = only(world.answer(writer(), about()))
    assert answer.value.fallback == "held"
    assert not answer.beside, "nobody has said it yet"
    assert not answer.empty
    (made,) = world.shelf.kept.values()
    assert made.held.text == "You might like The Film of 1 Stones."
    assert made.why == "like"


def test_a_reviewer_says_yes_or_no():
    world = World(review_all=True)
    world.answer(writer(), about())
    (made,) = world.shelf.kept.values()
    assert made.why == EVERY_ONE
    said, event = made.approved(99)
    assert (said.said.text, said.said.sequence, said.held) == (made.held.text, FINAL + 1, None)
    assert json.loads(event.reply_log)["generation"] == "g000007-77777777"
    kept, event = made.rejected()
    assert kept.said == made.said
    assert json.loads(event.reply_log)["token_ids"] == [3, 4]


def test_a_model_that_is_late_or_away_leaves_a_template():
    let_go = threading.Event()

    def slow(wanted, on_text):
        let_go.wait(5)
        return []

    world = World(max_wait_ms=20)
    answer = only(world.answer(ReplyModel("g1", {}, write=slow), about()))
    let_go.set()
    assert answer.value.fallback == "late"
    assert not answer.empty, "not the generation's fault"

    def away(wanted, on_text):
        raise Unavailable("the server is away")

    answer = only(World().answer(ReplyModel("g1", {}, write=away), about()))
    assert answer.value.fallback == "away"


def test_who_asked_too_long_ago_is_answered_at_once():
    world = World(max_wait_ms=1_000)
    asked, _ = world.answerer.asked([world.message(about())])
    world.clock.pass_ms(2_000)
    answer = only(world.answerer.answer(asked, writer()))
    assert answer.value.fallback == "late"


def test_made_again_it_is_the_same_whoever_makes_it():
    world = World()
    first = only(world.answer(writer(), about()))
    again = only(world.answer(ONLY_TEMPLATES, about()))
    assert again.value == first.value
    assert again.beside == first.beside


def test_a_list_that_nobody_wants_words_about_asks_for_nothing():
    assert not World().answer(writer(), replace(about(), wants_reply=False)).answers


def test_nothing_listed_is_said_so():
    answer = only(World().answer(writer(), about("q1", "gone")))
    assert answer.value.fallback == "nothing-listed"
    assert answer.value.text


def test_what_was_said_before_is_known_next_time():
    world = World()
    world.answer(writer(), about("q1"))
    (turn,) = world.shelf.said["ann", "c"]
    assert turn["query"] == "a quiet film"
    answer = only(world.answer(writer(), about("q2")))
    context = json.loads(answer.beside[topics.EVENTS].reply_log)["context"]
    assert context[-1] == pytest.approx(1 / 5)


def test_a_model_that_chooses_no_plan_is_not_sound():
    def broken(context_C, seed):
        raise ValueError("no number")

    assert World().answerer.sound(writer())
    assert not World().answerer.sound(ReplyModel("g1", {}, choose=broken))


def aloud(*pieces: str) -> ReplyModel:
    """A model that is heard while it writes."""

    def write(wanted, on_text):
        for place, _ in enumerate(wanted):
            for piece in pieces if on_text else ():
                on_text(place, piece)
        return [Written("".join(pieces), (1,), (2,), -1.0, finished=True) for _ in wanted]

    return ReplyModel("g1", {}, write=write)


def test_sentences_that_may_be_said_are_said_as_they_come():
    world = World()
    reply = only(world.answer(aloud("Take ", "[[1]].", " Or", " [[2]]."), about())).value
    assert [part.text for part in world.said] == [
        "Take The Film of 1 Stones.",
        "Take The Film of 1 Stones. Or The Film of 2 Stones.",
    ]
    assert [part.sequence for part in world.said] == [0, 1]
    assert not any(part.final for part in world.said)
    assert {part.reply_id for part in world.said} == {reply.reply_id}
    assert (reply.final, reply.sequence) == (True, FINAL)


def test_nothing_that_is_refused_or_reviewed_is_said_in_parts():
    world = World(blocks=read_rules(["might"], "rules"))
    world.answer(aloud("You might like ", "[[1]]."), about())
    assert world.said == []
    world = World(review_flagged=True)
    world.answer(aloud("Take ", "[[1]]."), about())
    assert world.said == []
