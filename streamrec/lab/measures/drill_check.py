"""What a loop that was killed again and again must equal: one clean pass over its logs.

Knows the promises of the data path and how each is checked, as functions of what is in the logs,
the store and the trainer's ledger.

Logged features of pending impressions are left out of the comparison: they are taken once
per run, from the statistics before it, so they depend on how the log was cut into runs.
Everything else of a user's state, and every row of statistics, must be equal to the bit.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from streamrec.core.events import Recommendation, ReplyMessage
from streamrec.core.ledger import ledger as watermarks
from streamrec.core.ledger.ledger import Ledger
from streamrec.core.release.generation_walk import GenerationWalk
from streamrec.core.release.registry import ControlRecord, RegistryState, accepts
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import FoldRules, Located
from streamrec.core.state.statistics import Statistics
from streamrec.core.tasks import RANKING
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_fold

Record = Mapping[str, Any]

RUN_EVENTS = 500
NAMED = 5
"""So many of the users or rows that differ are named."""


class StreamPlace(NamedTuple):
    """Where a message stands."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class CleanPass:
    """What one events partition amounts to. ``checksum``: as of ``core.ledger.ledger``."""

    position: int
    users: Mapping[str, Record]
    rows: Mapping[str, Record]
    examples: int
    checksum: int
    refused: tuple[int, ...] = ()  # offsets of events too late to be told from repetitions

    @property
    def counted(self) -> int:
        """Events that counted: neither refused nor repeated."""
        return _counted(self.rows)


@dataclass(frozen=True, slots=True)
class Found:
    """What the store holds of one events partition."""

    position: int
    users: Mapping[str, Record]
    rows: Mapping[str, Record]


@dataclass(slots=True)
class Broken:
    """How far a promise was kept; all zero and nothing ``different``: it was."""

    lost: int = 0
    doubled: int = 0
    different: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        return not (self.lost or self.doubled or self.different)


def clean_pass(
    partition: int, log: Sequence[Located], position: int, rules: FoldRules, catalogue: Catalogue
) -> CleanPass:
    """Fold a whole log, without a fault. ``position``: the log's end, refused records included."""
    fold = ranking_fold(
        partition,
        RankingRules(**asdict(rules)),
        catalogue,
        Statistics(catalogue, rules.partitions),
    )
    users: dict[str, Record] = {}
    rows: dict[str, Record] = {}
    seen_ms: dict[str, int] = {}
    examples = checksum = 0
    refused: list[int] = []
    for start in range(0, len(log), RUN_EVENTS):
        run = log[start : start + RUN_EVENTS]
        fold.put_users(dict.fromkeys(fold.missing_users(run)))
        result = fold.apply(run, 0, silent(seen_ms, fold.silent_until(run)))
        _keep(users, result.users)
        _keep(rows, result.rows)
        seen_ms = {u: at for u, at in (seen_ms | result.seen_ms).items() if u in users}
        refused += result.refused
        told = [*result.examples[RANKING], *result.forgotten]
        examples += len(told)
        checksum += sum(map(watermarks.checksum, told))
    return CleanPass(
        position, users, rows, examples, checksum % watermarks.CHECKSUM_MODULUS, tuple(refused)
    )


def silent(seen_ms: Mapping[str, int], wanted: tuple[int, int] | None) -> list[tuple[int, str]]:
    """What ``PartitionFold.silent_until`` asks for, of users and when they were seen."""
    until_ms, limit = wanted or (0, 0)
    return sorted((at, user) for user, at in seen_ms.items() if at <= until_ms)[:limit]


def _keep(kept: dict[str, Record], changed: Mapping[str, Record | None]) -> None:
    for name, record in changed.items():
        if record is None:
            kept.pop(name, None)
        else:
            kept[name] = record


def check_state(clean: CleanPass, found: Found) -> Broken:
    """User state and item statistics of one partition, bit for bit."""
    broken = Broken()
    counted = _counted(found.rows)
    broken.lost = max(0, clean.counted - counted, clean.position - found.position)
    broken.doubled = max(0, counted - clean.counted, found.position - clean.position)
    for what, mine, theirs in (
        ("user", _without_features(clean.users), _without_features(found.users)),
        ("row", clean.rows, found.rows),
    ):
        broken.different += [
            f"{what} {name}"
            for name in sorted(mine.keys() | theirs.keys())
            if _exact(mine.get(name)) != _exact(theirs.get(name))
        ]
    return broken


def check_training(clean: Mapping[int, CleanPass], ledger: Ledger) -> Broken:
    """Whether the ledger proves that each example was trained exactly once.

    Counts alone could hide one lost behind one doubled; the sums of hashes would then differ.
    """
    broken = Broken()
    for partition, expected in sorted(clean.items()):
        mark = ledger.partitions.get(partition)
        trained, checksum = (mark.trained, mark.checksum) if mark else (0, 0)
        broken.lost += max(0, expected.examples - trained)
        broken.doubled += max(0, trained - expected.examples)
        if checksum != expected.checksum:
            broken.different.append(f"checksum of partition {partition}")
            if trained == expected.examples:
                broken.lost += 1
                broken.doubled += 1
    return broken


def check_answers(requests: Collection[str], answers: Iterable[Recommendation]) -> Broken:
    """Every request must have been answered; again after a crash is right (same id)."""
    answered = {answer.recommendation_id for answer in answers}
    missing = sorted(r for r in set(requests) if f"request:{r}" not in answered)
    return Broken(lost=len(missing), different=missing)


def check_replies(
    asked: Collection[str],
    lists: Iterable[Recommendation],
    replies: Iterable[ReplyMessage],
    noted: Collection[str],
) -> tuple[Broken, list[str]]:
    """Every list that words were asked about has one reply, said again or not; and those that were
    mixed up: about another's list, or naming what is not on it.

    ``asked``: request ids. ``noted``: reply ids of which the log of events knows.
    """
    items: dict[str, set[str]] = defaultdict(set)  # by list; answered again it may be another one
    for one in lists:
        items[f"{one.user_id} {one.recommendation_id}"].update(item.item_id for item in one.items)
    said: dict[str, set[tuple[str, ...]]] = defaultdict(set)  # by request
    mixed = []
    for reply in (one for one in replies if one.final):
        said[reply.trigger_id].add((reply.reply_id, reply.text, *reply.items))
        if not set(reply.items) <= items.get(f"{reply.user_id} {reply.recommendation_id}", set()):
            mixed.append(reply.reply_id)
        if reply.reply_id not in noted:
            mixed.append(f"{reply.reply_id}: nothing learns of it")
    missing = sorted(set(asked) - said.keys())
    doubled = sorted(request for request, texts in said.items() if len(texts) > 1)
    unasked = sorted(said.keys() - set(asked))
    return Broken(len(missing), len(doubled), [*missing, *doubled, *unasked]), mixed


def check_dead_letters(
    refused: Collection[StreamPlace], letters: Iterable[StreamPlace]
) -> tuple[Broken, int]:
    """Every bad message, and nothing else, is among the dead letters; how many came again.

    A dead letter that comes again after a crash is the same one, by its place: once in effect.
    """
    found = Counter(letters)
    missing, unasked = set(refused) - found.keys(), found.keys() - set(refused)
    broken = Broken(
        lost=len(missing),
        different=[
            *(f"no letter for {place}" for place in sorted(missing)),
            *(f"a letter for {place}" for place in sorted(unasked)),
        ],
    )
    return broken, found.total() - len(found)


def mixed(
    controls: Iterable[tuple[int, ControlRecord]], answers: Sequence[Recommendation]
) -> list[str]:
    """Ids of recommendations that name a generation their worker could not have active.

    ``controls``: the control log in order, each record with its Kafka timestamp. Also found:
    a micro-batch (one worker, one ``served_at_ms``) that names two generations, unless one is
    the canary of the other then and answers only its own share of the users.
    """
    walk, state = GenerationWalk(), RegistryState()
    for at_ms, record in controls:
        if accepts(state, record):
            state = record.state
            walk.follow(state, at_ms)
    ordered = sorted(answers, key=lambda answer: answer.served_at_ms)
    return [answer.recommendation_id for answer in ordered if not walk.served(answer)]


def _counted(rows: Mapping[str, Record]) -> int:
    return int(rows["c"]["n"]) if "c" in rows else 0


def _without_features(users: Mapping[str, Record]) -> dict[str, Record]:
    return {
        user: {
            **record,
            "p": [{**pending, "f": "", "ef": ""} for pending in record["p"]],
            "df": [],
        }
        for user, record in users.items()
    }


def _exact(record: Record | None) -> str:
    """Text that differs whenever a bit does: floats are written so that they read back equal."""
    return json.dumps(record, sort_keys=True)


__all__ = [
    "NAMED",
    "Broken",
    "CleanPass",
    "Found",
    "StreamPlace",
    "check_answers",
    "check_dead_letters",
    "check_state",
    "check_training",
    "clean_pass",
    "mixed",
]
