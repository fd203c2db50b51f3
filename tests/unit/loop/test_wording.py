"""Items with variants, from the message that brings them to the list that names one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from streamrec.core.events import Interaction, Item, Kind, Source, Variant
from streamrec.core.state.fold import FoldRules
from streamrec.core.variants.credit import digest24, shown_in
from streamrec.core.variants.traffic import Assigned
from streamrec.core.variants.wording_rules import WordingRules
from streamrec.errors import InvalidField
from streamrec.loop.ingesting.ingest import Ingest, IngestRules
from streamrec.loop.ingesting.ingest_events import EventsRules
from streamrec.loop.ingesting.raw import RawRecord
from streamrec.loop.serving.serve import Server
from streamrec.ports import Writes
from streamrec.ports.edges import Edges
from streamrec.tasks.ranking.example_maker import example_source
from streamrec.tasks.ranking.lists.lists import ListAnswerer
from streamrec.tasks.ranking.lists.wording import Wording
from tests.fakes.clock import FakeClock
from tests.fakes.publisher import FakePublisher
from tests.fakes.store import FakePartitionStore
from tests.harness.codec import wire_codec
from tests.unit.loop.ingesting import BATCH
from tests.unit.loop.serving import Counter, items, request

TRIED = Item("a", "Plain", variants=(Variant("x", "One way"), Variant("y", "Another way")))
CODEC = wire_codec()


class Held(dict[tuple[str, str], Assigned]):
    """Assignments in memory: the first one stands."""

    def hold(self, wishes):
        return {pair: self.setdefault(pair, wish) for pair, wish in wishes.items()}


def worded_counter(held: Held) -> Counter:
    counter = Counter()
    counter.add_items(TRIED, *items("b", "c", "d"))
    counter.model.scores = {"a": 5.0, "b": 4.0, "c": 3.0}
    answerer = ListAnswerer(
        counter.edges, counter.mirror, worker_id="s", k=3, wording=Wording(held.hold)
    )
    counter.answerer, counter.server = answerer, Server(counter.edges, answerer)
    return counter


def test_a_list_names_the_wording_it_shows_and_how_likely_that_was() -> None:
    counter = worded_counter(Held())
    answers = [counter.serve(request(f"u{n}", f"r{n}"))[0] for n in range(30)]
    for n, answer in enumerate(answers):
        first, *others = answer.items
        assert first.variant_id in {"x", "y"}
        assert 0.3 < first.variant_propensity < 0.7
        assert [(one.variant_id, one.variant_propensity) for one in others] == [(None, 1.0)] * 3
        assert answer.recommendation_id.startswith(f"request:r{n}~")
        told = {digest24("a"): digest24(first.variant_id)}
        assert shown_in(answer.recommendation_id, f"u{n}") == told
    assert {answer.items[0].variant_id for answer in answers} == {"x", "y"}


def test_a_user_keeps_a_wording_until_the_item_has_it_no_more() -> None:
    counter = worded_counter(Held())
    (first,) = counter.serve(request("ann", "r1"))
    kept = first.items[0]
    other = ({"x", "y"} - {kept.variant_id}).pop()
    counts = [digest24(other), 5_000, 900, digest24(kept.variant_id or ""), 5_000, 100]
    statistics = [*map(float, counts)] + [0.0] * 42
    at = counter.store.position(Source("events", 0))
    rows = {"s/wordings/a": {"v": statistics}, "c": {"n": 1, "t": 1}}
    counter.store.commit(Source("events", 0), at, at + 1, Writes(rows=rows))
    (second,) = counter.serve(request("ann", "r2"))
    assert second.items[0] == kept  # though everybody now gets the other one
    newcomers = [counter.serve(request(f"v{n}", f"n{n}"))[0].items[0] for n in range(10)]
    assert {one.variant_id for one in newcomers} == {other}
    left = tuple(one for one in TRIED.variants if one.variant_id == other)
    counter.add_items(replace(TRIED, variants=(*left, Variant("z", "A third way"))))
    (third,) = counter.serve(request("ann", "r3"))
    assert third.items[0].variant_id in {other, "z"}


def test_without_variants_nothing_changes() -> None:
    counter = worded_counter(Held())
    counter.add_items(replace(TRIED, variants=()), Item("e", "One", variants=TRIED.variants[:1]))
    (answer,) = counter.serve(request("ann", "r1"))
    assert answer.recommendation_id == "request:r1"
    assert {one.variant_id for one in answer.items} == {None}


# -- on the wire and into the catalogue ----------------------------------------------------


def item_message(**fields: object) -> bytes:
    return json.dumps({"item_id": "a", "title": "Plain"} | fields).encode()


def test_variants_travel_as_json_and_avro() -> None:
    variants = [{"variant_id": "x", "title": "One way"}]
    variants.append({"variant_id": "y", "title": "Another way", "text": "and more"})
    item = CODEC.decode("items", item_message(variants=variants))
    assert item.variants == (Variant("x", "One way"), Variant("y", "Another way", "and more"))
    assert CODEC.decode("items", CODEC.encode("items", item)) == item
    assert CODEC.decode("items", item_message()).variants == ()


@pytest.mark.parametrize(
    ("variants", "says"),
    [
        ("x", "a list of objects"),
        (["x"], "a list of objects"),
        ([{"title": "no id"}], "variant_id"),
        ([{"variant_id": "x", "title": "  "}], "a title in each"),
        ([{"variant_id": "x", "title": "A"}, {"variant_id": "x", "title": "B"}], "of its own"),
        ([{"variant_id": str(n), "title": "A"} for n in range(17)], "17 entries"),
        ([{"variant_id": "x", "title": "A" * 2_001}], "2,001 characters"),
    ],
)
def test_variants_that_make_no_sense_are_refused(variants: object, says: str) -> None:
    with pytest.raises(InvalidField, match=says):
        CODEC.decode("items", item_message(variants=variants))


def test_a_blocked_wording_is_a_dead_letter_and_others_go_on() -> None:
    store, publisher = FakePartitionStore(), FakePublisher()
    rules = IngestRules(
        partitions={"items": 1, "events": 1},
        events=EventsRules(FoldRules(), BATCH, future_tolerance_ms=86_400_000),
        wordings=WordingRules(blocked=("shocking",)),
    )
    edges = Edges(store, publisher, CODEC, FakeClock(), lambda _: 0)
    ingest, source = Ingest(edges, rules, [example_source()]), Source("items", 0)
    ingest.take_over(source)
    bad = [{"variant_id": "x", "title": "A Shocking way"}, {"variant_id": "y", "title": "Fine"}]
    good = [{"variant_id": "x", "title": "A quiet way"}]
    records = [
        RawRecord(0, 1_600_000_000_000, b"a", item_message(variants=bad)),
        RawRecord(1, 1_600_000_000_000, b"b", item_message(item_id="b", variants=good)),
    ]
    ingest.ingest(source, records)
    (letter,) = [CODEC.decode("dead-letter", value) for value in publisher.values("dead-letter")]
    assert "variant 'x' of 'a' has 'shocking'" in letter.reason
    assert set(store.read_rows(source, 0).rows) == {"b"}


def test_views_and_clicks_of_a_served_list_move_its_counts() -> None:
    """From an answer, by the events that name it, to the row that serving reads."""
    counter = worded_counter(Held())
    (answer,) = counter.serve(request("ann", "r1"))
    rules = IngestRules(
        partitions={"items": 1, "events": 1},
        events=EventsRules(FoldRules(), BATCH, future_tolerance_ms=86_400_000),
    )
    store, clock = FakePartitionStore(), FakeClock()
    edges = Edges(store, FakePublisher(), CODEC, clock, lambda _: 0)
    ingest, source = Ingest(edges, rules, [example_source()]), Source("events", 0)
    ingest.take_over(source)
    at_ms = clock.now_ms()
    told = [
        Interaction(f"e{n}", "ann", "a", kind, at_ms, recommendation_id=answer.recommendation_id)
        for n, kind in enumerate([Kind.VIEW, Kind.CLICK])
    ]
    messages = [CODEC.encode("events", event) for event in [*told, *told]]  # Kafka repeats them
    ingest.ingest(source, [RawRecord(n, at_ms, b"ann", m) for n, m in enumerate(messages)])
    row = store.read_rows(source, 0).rows["s/wordings/a"]
    assert row["v"][:3] == [digest24(answer.items[0].variant_id or ""), 1.0, 1.0]
