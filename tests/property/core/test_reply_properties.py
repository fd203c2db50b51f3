"""Replies and what people do with them: each reply one example, whatever the order of the log, how
it is cut into runs, and where a worker begins anew; ranking sees none of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.core.events import Interaction, Item, Kind
from streamrec.core.replies.context import CONTEXT
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import Located, PartitionFold
from streamrec.core.state.replies import ReplyOutcome
from streamrec.core.state.run import FoldRules
from streamrec.core.state.statistics import Statistics
from streamrec.core.tasks import RANKING, REPLIES
from streamrec.tasks.ranking.example_maker import RankingExamples
from streamrec.tasks.ranking.features import COUNTERS, FEATURES
from streamrec.tasks.replies.example_maker import ReplyExamples, worth

START, WINDOW_MS, IMPLICIT = 1_772_000_000_000, 10_000, 0.5
REPLIES_OF_EACH = 3
"""More would push the first ones out."""
BY_KIND = {
    Kind.ACCEPT: ReplyOutcome.ACCEPTED,
    Kind.REJECT: ReplyOutcome.REJECTED,
    Kind.CLICK: ReplyOutcome.CLICKED,
    None: ReplyOutcome.IGNORED,
}


def log_of(reply: str, item: str) -> str:
    noted = {"items": [item], "generation": "", "plan": 3, "plan_propensity": 0.5}
    return json.dumps(noted | {"context": [0.0] * len(CONTEXT)})


@st.composite
def told(draw: st.DrawFn) -> tuple[list[Interaction], dict[str, ReplyOutcome]]:
    """Events in any order, some of them twice, and what should come of each reply."""
    events, expected = [], {}
    for user, own_ms in (("ann", START), ("ben", START + 2)):  # never at the same moment

        def moment(own_ms: int = own_ms) -> int:
            return own_ms + 4 * draw(st.integers(0, 225))

        for number in range(draw(st.integers(0, REPLIES_OF_EACH))):
            reply, item = f"{user}-r{number}", f"i-{user}-{number}"
            at_ms = moment()
            said = Interaction(
                reply, user, "", Kind.REPLY, at_ms, query=f"{user}{number}", reply_id=reply,
                conversation_id=f"c{number}", reply_log=log_of(reply, item),
            )  # fmt: skip
            events.append(said)
            kind = draw(st.sampled_from([*BY_KIND]))
            expected[reply] = BY_KIND[kind]
            later_ms = at_ms + draw(st.integers(0, 900))
            if kind is Kind.CLICK:
                events.append(Interaction(f"click-{reply}", user, item, kind, later_ms))
            elif kind is not None:
                events.append(
                    Interaction(f"thumb-{reply}", user, "", kind, later_ms, reply_id=reply)
                )
        for number in range(draw(st.integers(0, 4))):
            kind, item = draw(st.sampled_from([Kind.VIEW, Kind.CLICK])), draw(st.integers(0, 2))
            events.append(Interaction(f"{user}-o{number}", user, f"other{item}", kind, moment()))
    again = draw(st.lists(st.sampled_from(events), max_size=4)) if events else []
    return draw(st.permutations([*events, *again])), expected


def catalogue() -> Catalogue:
    found = Catalogue()
    ids = [f"i-{user}-{n}" for user in ("ann", "ben") for n in range(REPLIES_OF_EACH)]
    found.put([Item(name, name) for name in (*ids, *(f"other{n}" for n in range(3)))])
    return found


def folded(log: Sequence[Interaction], cuts: Sequence[int]) -> dict[str, list]:
    """Examples by task; at each cut whoever folds begins anew, from what was stored."""
    items, rows, own, logs, users = catalogue(), {}, {}, {}, {}
    found: dict[str, list] = {RANKING: [], REPLIES: []}
    bounds = [0, *sorted({*cuts, len(log)})]
    for begin, end in pairwise(bounds):
        statistics = Statistics(items)
        makers = {
            RANKING: RankingExamples(0, 4, items, statistics),
            REPLIES: ReplyExamples(0, IMPLICIT),
        }
        fold = PartitionFold(
            0, FoldRules(1, attribution_window_ms=WINDOW_MS), items, statistics,
            makers=makers, counters=COUNTERS,
        )  # fmt: skip
        fold.load_rows(rows, own, logs)
        run = [
            Located(begin + n, event.occurred_at_ms, event)
            for n, event in enumerate(log[begin:end])
        ]
        fold.put_users({user: users.get(user) for user in fold.missing_users(run)})
        result = fold.apply(run, now_ms=9_000)
        rows, own = stored(rows, result.rows), stored(own, result.own)
        logs = {
            **logs,
            **{name: logs.get(name, b"") + (data or b"") for name, data in result.logs.items()},
        }
        users = stored(users, result.users)
        for task, examples in result.examples.items():
            found[task] += examples
    return found


def ended(events: Sequence[Interaction]) -> list[Interaction]:
    """With somebody else's after each window, one by one: what ends at once ends user by user, and
    who has a reply waiting may then be the first of them."""
    over = {one.occurred_at_ms + WINDOW_MS + 1 for one in events}
    times = [*sorted(over), *(START + 3 * WINDOW_MS + n for n in range(3))]
    return [*events, *(Interaction(f"z{ms}", f"zoe{ms}", "other0", Kind.VIEW, ms) for ms in times)]


def stored(before: dict, changed: dict) -> dict:
    """As Redis has it."""
    after = before | json.loads(json.dumps(changed))
    return {name: row for name, row in after.items() if row is not None}


@settings(max_examples=60, deadline=None)
@given(told(), st.lists(st.integers(1, 20), max_size=3))
def test_each_reply_makes_one_example_in_whatever_order(said, cuts) -> None:
    events, expected = said
    found = folded(ended(events), [cut for cut in cuts if cut < len(events)])
    made = {one.reply_id: (one.reward, one.weight) for one in found[REPLIES]}
    assert len(made) == len(found[REPLIES]), "none twice"
    assert made == {reply: worth(outcome, IMPLICIT) for reply, outcome in expected.items()}
    places = [(one.offset, one.index) for one in found[REPLIES]]
    assert len({*places}) == len(places)


@settings(max_examples=30, deadline=None)
@given(told())
def test_ranking_learns_the_same_without_them(said) -> None:
    """But that somebody who talks is not away, and that what is late waits from when the clock was
    moved, by whatever: so in order."""
    events, _ = said
    log = ended(sorted(events, key=lambda one: one.occurred_at_ms))
    with_them = folded(log, [])[RANKING]
    without = folded([one for one in log if one.with_item], [])[RANKING]
    assert len(with_them) == len(without)
    here = [name != "user_away" for name in FEATURES]
    for one, other in zip(with_them, without, strict=True):
        assert one.history == other.history
        assert one.candidates[0] == other.candidates[0]
        np.testing.assert_array_equal(one.labels_C[0], other.labels_C[0])
        np.testing.assert_array_equal(one.stats_CF[0][here], other.stats_CF[0][here])
