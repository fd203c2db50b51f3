"""What may answer whom, and in which order, with a canary out."""

from __future__ import annotations

from dataclasses import replace

from streamrec.core.release.canary import Canary
from streamrec.core.release.generation_walk import GenerationWalk
from streamrec.core.release.registry import RegistryState
from tests.unit.lab.test_loop_watch import recommendation

CANARY = Canary("g2", 0.3, "salt", 100)
USERS = [f"user{n}" for n in range(50)]
CHOSEN = next(user for user in USERS if CANARY.gets(user))
OTHER = next(user for user in USERS if not CANARY.gets(user))


def served(walk: GenerationWalk, generation: str, at_ms: int, user: str) -> bool:
    return walk.served(replace(recommendation(generation, at_ms), user_id=user))


def trying() -> GenerationWalk:
    walk = GenerationWalk()
    walk.follow(RegistryState(champion="g1"), 0)
    walk.follow(RegistryState(champion="g1", canary=CANARY), 100)
    return walk


def test_a_micro_batch_is_split_between_champion_and_canary() -> None:
    walk = trying()
    assert served(walk, "g1", 150, OTHER)
    assert served(walk, "g2", 150, CHOSEN)
    assert served(walk, "g1", 150, OTHER)


def test_the_canary_answers_nobody_but_its_share() -> None:
    assert not served(trying(), "g2", 150, OTHER)


def test_a_worker_that_could_not_load_the_canary_answers_with_the_champion() -> None:
    assert served(trying(), "g1", 150, CHOSEN)


def test_not_before_the_canary_was_decided() -> None:
    assert not served(trying(), "g2", 99, CHOSEN)


def test_an_abandoned_canary_may_linger_until_the_worker_has_moved_on() -> None:
    walk = trying()
    walk.follow(RegistryState(champion="g1"), 200)
    assert served(walk, "g2", 210, CHOSEN), "it may not have heard yet"
    walk.follow(RegistryState(champion="g3"), 300)
    assert served(walk, "g3", 310, CHOSEN)
    assert not served(walk, "g2", 320, CHOSEN), "left behind"


def test_after_its_promotion_the_canary_answers_everybody() -> None:
    walk = trying()
    walk.follow(RegistryState(champion="g2"), 200)
    assert served(walk, "g2", 210, OTHER)
    assert not served(walk, "g1", 220, OTHER)


def test_one_micro_batch_fits_one_line_up() -> None:
    walk = trying()
    walk.follow(RegistryState(champion="g2"), 200)
    assert served(walk, "g1", 210, OTHER)
    assert not served(walk, "g2", 210, OTHER), "g1 and g2 never answered the same people at once"
    assert walk.mixed == 1
