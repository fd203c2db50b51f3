"""However examples come and time passes, batches tile them in order and keep their bounds."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from streamrec.core.state.batching import Batcher, BatchRules

rules = st.builds(BatchRules, st.integers(1, 6), st.integers(1, 300), st.integers(0, 50))
steps = st.lists(st.tuples(st.integers(1, 120), st.integers(0, 2), st.integers(0, 30)), max_size=40)


def example(offset: int, index: int):
    return SimpleNamespace(offset=offset, index=index)


@given(rules, steps, st.booleans())
def test_batches(limits, arrivals, everything):
    batcher, now, offset = Batcher(2, "f", limits), 0, 0
    sent, sizes, since, batches = [], {}, {}, []
    for size, skipped, waited in arrivals:
        now += waited
        offset += skipped
        arrived = example(offset, 0)
        offset += 1
        sent.append(arrived)
        sizes[id(arrived)], since[id(arrived)] = size, now
        batcher.add(arrived, size, now)
        cut = batcher.cut(now, offset)
        batches += cut
        waiting = sent[sum(len(b.examples) for b in batches) :]
        assert len(batcher) == len(waiting) < limits.examples
        assert all(now - since[id(e)] < limits.age_ms for e in waiting)
    if everything:
        batches += batcher.cut(now, offset, everything=True)
        assert len(batcher) == 0
    together = [e for batch in batches for e in batch.examples]
    assert together == sent[: len(together)]
    through = 0
    for batch in batches:
        total = sum(sizes[id(e)] for e in batch.examples)
        assert 0 < len(batch.examples) <= limits.examples
        assert total <= limits.bytes or len(batch.examples) == 1
        assert batch.from_offset == through
        assert through <= batch.examples[0].offset <= batch.examples[-1].offset <= batch.to_offset
        through = batch.to_offset
    assert through <= offset
