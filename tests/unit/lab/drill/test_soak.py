"""The world of the soak drill stands still on the whole; its report tells what grew."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from rich.console import Console

from streamrec.core import topics
from streamrec.core.events import Kind
from streamrec.lab.drill.soak_report import BOUNDS, SoakFacts, in_words, markdown, progress, report
from streamrec.lab.drill.soak_world import SoakWorld, WorldSize
from streamrec.lab.measures.soak_check import SoakSample
from tests.harness.codec import wire_codec

SIZE = WorldSize(items=40, people=10, life_ms=60_000)


class Ticking:
    """A clock that goes on by 100 ms each time somebody looks."""

    def __init__(self) -> None:
        self.now = 1_750_000_000_000

    def now_ms(self) -> int:
        self.now += 100
        return self.now


def test_items_and_people_come_and_go_and_their_number_stands() -> None:
    codec, clock = wire_codec(), Ticking()
    world = SoakWorld(7, codec, SIZE, clock.now_ms)
    live = [message.key for message in world.catalogue()]
    assert len(live) == SIZE.items
    kinds: Counter[Kind] = Counter()
    sizes, seen = set(), set()
    for message in islice(world, 20_000):
        if message.topic == topics.ITEMS:
            if message.value is None:
                live.remove(message.key)
                sizes.add(len(live))
            else:
                live.append(message.key)
        elif message.topic == topics.EVENTS:
            event = codec.decode(topics.EVENTS, message.value)
            assert not event.item_id or event.item_id.encode() in live
            kinds[event.kind] += 1
            seen.add(event.user_id)
    assert sizes == {SIZE.items - 1}
    lives = (clock.now - 1_750_000_000_000) / SIZE.life_ms
    assert world.gone > (lives - 1) * SIZE.items * 0.9
    assert world.visitors > (lives - 2) * SIZE.people * 0.9
    assert len(seen) > world.visitors * 0.8
    assert {Kind.VIEW, Kind.CLICK, Kind.FORGET} == set(kinds)


def test_the_same_seed_gives_the_same_messages() -> None:
    codec = wire_codec()
    first, second = (SoakWorld(3, codec, SIZE, Ticking().now_ms) for _ in range(2))
    for world in (first, second):
        list(world.catalogue())
    assert list(islice(first, 500)) == list(islice(second, 500))


def soaked(leak_mb: float, **facts: int) -> dict[str, object]:
    values = {**dict.fromkeys(BOUNDS, 10.0), "memory of embedded-kafka": 5.0}
    samples = [
        SoakSample(n * 15.0, {**values, "memory of trainer-1": 300 + leak_mb * n / 240})
        for n in range(240)
    ]
    return report(samples, SoakFacts(60, 20, 0, 400, seconds=3600, **facts))


def test_a_leak_is_named_in_every_form() -> None:
    found = soaked(100)
    assert found["ok"] is False
    assert found["grew"] == ["memory of trainer-1"]
    console = Console(width=200)
    with console.capture() as shown:
        console.print(in_words(found))
    for text in (shown.get(), markdown(found)):
        assert "GREW: memory of trainer-1" in text
        assert "not judged" in text


def test_what_stands_is_well_and_a_death_is_not() -> None:
    assert soaked(0)["ok"] is True
    assert soaked(0, died_by_themselves=1)["ok"] is False
    assert soaked(0, mixed=1)["ok"] is False


def test_a_series_that_was_never_measured_is_no_success() -> None:
    values = {name: 1.0 for name in BOUNDS if name != "freshness"}
    found = report([SoakSample(n * 15.0, values) for n in range(240)], SoakFacts(60, 20, 0, 400))
    assert found["ok"] is False
    assert found["unknown"] == ["freshness"]


def test_progress_tells_what_could_be_measured() -> None:
    line = progress(SoakSample(60.0, {"memory of trainer-1": 310.4}), SoakFacts(60, 20, 0, 400))
    assert "trainer-1 310" in line
    assert "Redis" not in line
