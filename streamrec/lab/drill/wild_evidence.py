"""What is known after the wild drill: users and examples, refusals, catalogue, answers.

Knows where each lies and how it is read. Does not know what was meant (``lab.drill.wild_world``)
nor what must be equal to what (``lab.measures.wild_check``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from streamrec.apps import clients
from streamrec.core import topics
from streamrec.core.events import DeadLetter, Recommendation
from streamrec.core.examples import TrainingBatch
from streamrec.infra.wire.kafka_topics import partition_counts
from streamrec.lab.drill.evidence import found_state, read_logs
from streamrec.lab.drill.wild_world import CatalogueTopic
from streamrec.lab.measures.wild_check import Labels, UserCounts, WildTally
from streamrec.settings import Settings
from streamrec.tasks.ranking.examples import RankingExample

Places = Mapping[tuple[str, int, int], str]
"""Who sent the message at a topic, a partition and an offset."""


class Known(NamedTuple):
    """``counts`` and ``examples`` by user; ``refused``: codes of dead letters by who sent it."""

    counts: Mapping[str, UserCounts]
    examples: Mapping[str, Sequence[Labels]]
    refused: Mapping[str, Sequence[str]]
    answered: frozenset[str]  # ids of requests


def known(settings: Settings, places: Places) -> Known:
    """Everything that logs and Redis say. Raises Unavailable."""
    read = (topics.TRAINING_BATCHES, topics.DEAD_LETTER, topics.RECOMMENDATIONS)
    logs = read_logs(settings, read)
    batches, letters, lists = ([record.value for record in logs[topic]] for topic in read)
    answered = frozenset(one.trigger_id for one in lists if isinstance(one, Recommendation))
    return Known(_counts(settings), _examples(batches), _refused(letters, places), answered)


def of_catalogue(settings: Settings, wanted: CatalogueTopic, refused: Sequence[str]) -> WildTally:
    """The catalogue beside what should be left of it. Raises Unavailable."""
    found = clients.catalogue_items(settings)
    wrong = {
        "missing": wanted.left - found.keys(),
        "not removed": wanted.gone & found.keys(),
        "nobody's": found.keys() - wanted.left - wanted.gone,
    }
    return WildTally(
        meant=len(wanted.put) + len(wanted.removed),
        counted=len(found),
        lost=len(wrong["missing"]),
        doubled=len(wrong["nobody's"]),
        silent=max(0, len(wrong["not removed"]) - len(refused)),
        refused=dict(Counter(refused)),
        named=[f"{what}: {item}" for what, items in wrong.items() for item in sorted(items)],
    )


def _counts(settings: Settings) -> dict[str, UserCounts]:
    found: dict[str, UserCounts] = defaultdict(UserCounts)
    for partition in range(partition_counts(settings.kafka)[topics.EVENTS]):
        for user, record in found_state(settings, partition).users.items():
            views, accepts = record["n"]
            before = found[user]
            found[user] = UserCounts(before.views + views, before.accepts + accepts)
    return found


def _examples(batches: Sequence[Any]) -> dict[str, list[Labels]]:
    found: dict[str, list[Labels]] = defaultdict(list)
    seen = set()
    for batch in batches:
        for example in batch.examples if isinstance(batch, TrainingBatch) else ():
            place = (example.partition, example.offset, example.index)
            if isinstance(example, RankingExample) and place not in seen:
                seen.add(place)
                labels = zip(example.candidates, example.labels_C > 0, strict=True)
                found[example.user_id].append({item: bool(label) for item, label in labels})
    return found


def _refused(letters: Sequence[Any], places: Places) -> dict[str, list[str]]:
    """A dead letter that came again after a crash is the same one."""
    codes = {
        (letter.topic, letter.partition, letter.offset): letter.code
        for letter in letters
        if isinstance(letter, DeadLetter)
    }
    found: dict[str, list[str]] = defaultdict(list)
    for place, code in codes.items():
        found[places.get(place, "somebody else")].append(code)
    return found
