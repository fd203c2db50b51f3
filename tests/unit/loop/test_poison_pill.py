"""A message that brings out a fault goes to the dead letters; a fault of everything stays one."""

from __future__ import annotations

import pytest

from streamrec.core.state.user_state import UserState
from streamrec.errors import GenerationFailed, Malformed, Unavailable
from streamrec.loop.serving.poison_pill import MAX_IN_A_ROW, PoisonMessageIsolation
from tests.fakes.serving import FakeModel
from tests.unit.loop.serving import Counter, items, lists, refused, request, update


class Fragile(FakeModel):
    """Fails at a history with "poison" in it, and at everything when ``broken``."""

    broken = False
    raises: Exception = KeyError("nobody foresaw this")

    def ranking(self, users, now_ms, features):
        if self.broken or any("poison" in user.history for user in users):
            raise self.raises
        return super().ranking(users, now_ms, features)


class World(Counter):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.model = Fragile("g1", self.mirror.catalogue)
        self.add_items(*items("a", "b", "c"))
        self.mirror.refresh()
        self.isolation = PoisonMessageIsolation(self.server)
        for user in ("bad", "worse"):
            self.set_user(user, UserState(history=("poison",), history_ms=(1,)))

    def isolated(self, *batch):
        return self.isolation.serve(batch, self.model, None)

    @property
    def letters(self):
        values = self.publisher.values("dead-letter")
        return [self.codec.decode("dead-letter", value) for value in values]


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("size", [2, 3, 8, 17])
@pytest.mark.parametrize("at", [0, 1, -1])
def test_the_one_message_is_found_and_every_other_is_answered(world, size, at):
    batch = [request(f"u{n}", f"r{n}", n) for n in range(size)]
    batch[at] = request("bad", "poison", 100)
    served = world.isolated(*batch)
    assert sorted(a.trigger_id for a in lists(served)) == sorted(
        message.value.request_id for message in batch if message.value.user_id != "bad"
    )
    assert served.dead_letters == 1
    [letter] = world.letters
    assert (letter.offset, letter.code) == (100, "failed")
    assert "KeyError: 'nobody foresaw this'" in letter.reason
    assert letter.value == b"raw"


def test_two_at_once_and_a_refused_one_beside_them(world):
    served = world.isolated(
        request("bad", "x", 1),
        refused(Malformed("no request"), 2),
        request("ann", "r1", 3),
        update("worse", 4),
        update("bob", 5),
    )
    assert {a.user_id for a in lists(served)} == {"ann", "bob"}
    assert served.dead_letters == 3
    assert sorted((letter.offset, letter.code) for letter in world.letters) == [
        (1, "failed"),
        (2, "malformed"),
        (4, "failed"),
    ]


def test_a_message_that_comes_alone_is_poison_only_so_often(world):
    for turn in range(MAX_IN_A_ROW):
        assert world.isolated(request("bad", f"x{turn}", turn)).dead_letters == 1
    with pytest.raises(KeyError):
        world.isolated(request("bad", "one more", 9))
    assert len(world.letters) == MAX_IN_A_ROW


def test_an_answer_in_between_starts_the_count_again(world):
    for turn in range(MAX_IN_A_ROW * 2):
        world.isolated(request("bad", f"x{turn}", turn))
        world.isolated(request("ann", f"r{turn}", turn))
    assert len(world.letters) == MAX_IN_A_ROW * 2


def test_a_fault_of_the_model_is_no_poison_message(world):
    world.model.broken = True
    with pytest.raises(GenerationFailed, match="g1 cannot rank: KeyError"):
        world.isolated(request("ann", "r1", 1))
    with pytest.raises(GenerationFailed):
        world.isolated(request("ann", "r1", 1), request("bob", "r2", 2))
    assert world.letters == []


def test_a_fault_of_every_message_is_no_poison_message(world):
    with pytest.raises(KeyError):
        world.isolated(request("bad", "r1", 1), request("worse", "r2", 2))
    assert world.letters == []


def test_a_dependency_that_is_away_is_no_fault(world):
    world.model.raises = Unavailable("Redis is away")
    with pytest.raises(Unavailable):
        world.isolated(request("bad", "r1", 1), request("ann", "r2", 2))
    assert world.letters == []
