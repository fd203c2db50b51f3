"""From what became of a reply to an example; what says nothing to learn from is counted."""

from __future__ import annotations

import json

import pytest

from streamrec.core.events import Interaction, Kind
from streamrec.core.replies.context import CONTEXT
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import FoldResult, FoldRules, Located, PartitionFold
from streamrec.core.state.statistics import Statistics
from streamrec.core.tasks import REPLIES
from streamrec.tasks.replies.example_maker import ReplyExamples

GOOD = {
    "items": ["a"],
    "generation": "",
    "plan": 3,
    "plan_propensity": 0.5,
    "context": [0.0] * len(CONTEXT),
}


def judged(log: str) -> FoldResult:
    """A reply with this log, and a thumb."""
    catalogue = Catalogue()
    fold = PartitionFold(
        0, FoldRules(), catalogue, Statistics(catalogue), makers={REPLIES: ReplyExamples(0, 0.5)}
    )
    reply = Interaction("r1", "ann", "", Kind.REPLY, 1, reply_id="r1", reply_log=log)
    thumb = Interaction("t1", "ann", "", Kind.ACCEPT, 2, reply_id="r1")
    run = [Located(n, 5, event) for n, event in enumerate((reply, thumb))]
    fold.put_users(dict.fromkeys(fold.missing_users(run)))
    return fold.apply(run, now_ms=9)


def test_a_log_of_ours_becomes_an_example() -> None:
    found = judged(json.dumps(GOOD))
    (example,) = found.examples[REPLIES]
    assert (example.plan, example.reward, found.unusable_replies) == (3, 1.0, 0)


@pytest.mark.parametrize(
    "log",
    [
        "",
        "not ours",
        "[]",
        json.dumps({"items": []}),
        json.dumps(GOOD | {"plan": 99}),
        json.dumps(GOOD | {"context": [0.0]}),
        json.dumps(GOOD | {"generation": "g1"}),
    ],
)
def test_one_that_cannot_be_learned_from_is_counted_and_spoils_no_batch(log: str) -> None:
    found = judged(log)
    assert (found.examples[REPLIES], found.unusable_replies) == ([], 1)
