import pytest

from streamrec.core.release import lineage
from streamrec.errors import UserError
from tests.fakes.generations import draft


def manifest(name: str, parent: str | None, through: int, rank: int = 8, mrr: float | None = None):
    metrics = {} if mrr is None else {"mrr": {"candidate": mrr}}
    return draft(
        generation=name, parent=parent, offsets={"0": (0, through)}, training={"examples": 10},
        settings={"encoder": {"rank": rank}}, gate={"metrics": metrics},
    )  # fmt: skip


MANIFESTS = {
    m.generation: m
    for m in (
        manifest("g0", None, 0),
        manifest("g1", "g0", 100, mrr=0.3),
        manifest("g2", "g1", 250, rank=4, mrr=0.4),
        manifest("g3", "g1", 300),
    )
}


def test_a_descendant_in_a_line() -> None:
    found = lineage.difference(MANIFESTS, "g0", "g2")
    assert (found.path, found.common) == (("g2", "g1"), "g0")
    assert found.examples == 20
    assert found.offsets == {"0": (0, 250)}
    assert found.settings == {"encoder.rank": (8, 4)}
    assert found.gate == {"mrr": (None, 0.4)}


def test_two_that_part() -> None:
    found = lineage.difference(MANIFESTS, "g2", "g3")
    assert (found.path, found.common) == (("g3",), "g1")
    assert found.gate == {"mrr": (0.4, None)}


def test_one_that_is_not_there() -> None:
    with pytest.raises(UserError, match="adapters list"):
        lineage.difference(MANIFESTS, "g1", "g9")
