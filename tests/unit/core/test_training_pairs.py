"""Which generations have a person's examples in their weights."""

from __future__ import annotations

from streamrec.core.ledger.training_pairs import GenerationRange, TrainingPair, learned_from, span
from streamrec.core.release.manifest import Manifest

LESSONS = [TrainingPair(3, 1, 40), TrainingPair(7, 1, 90)]


def manifest(name: str, batches: tuple[int, int], **training: object) -> Manifest:
    return Manifest(
        name, None, "e", "m", "d", "f", 0, training={"batches": list(batches), **training}
    )


def test_everything_before_the_end_was_learned_also_by_the_parents() -> None:
    found = learned_from(
        [
            manifest("g0", (0, 0)),
            manifest("g1", (0, 3)),
            manifest("g2", (3, 5)),
            manifest("g3", (5, 9)),
        ],
        LESSONS,
        "ann",
    )
    assert found == [GenerationRange("g2", 1), GenerationRange("g3", 2)]


def test_what_was_quarantined_was_not() -> None:
    def ranges(user: str | None) -> list[dict[str, object]]:
        return [{"partition": 1, "start": 0, "end": 50, "user_id": user}]

    def count(user: str | None) -> list[GenerationRange]:
        return learned_from([manifest("g", (0, 9), quarantine=ranges(user))], LESSONS, "ann")

    assert count("ann") == count(None) == [GenerationRange("g", 1)]
    assert count("bob") == [GenerationRange("g", 2)]


def test_a_manifest_from_before_all_this() -> None:
    bare = Manifest("g", None, "e", "m", "d", "f", 0)
    assert learned_from([bare], LESSONS, "ann") == []


def test_the_range_is_written_as_rollback_takes_it() -> None:
    assert span(LESSONS) == "1:40-91"
    assert span([]) == ""
