"""What is left after the drill: logs, state in Redis, the trainer's checkpoint; the verdict.

Knows where each lies and how it is read. Does not know what must be equal to what
(``lab.measures.drill_check``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streamrec.apps import clients
from streamrec.apps.features import ingest_rules
from streamrec.core import topics
from streamrec.core.events import Interaction, Item, Kind, Source
from streamrec.core.ledger.ledger import Ledger
from streamrec.core.release.registry import ControlRecord
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import Located
from streamrec.errors import InvalidField, Refused, UserError
from streamrec.infra.clock import SystemClock
from streamrec.infra.stores.checkpoints import DirectoryCheckpoints
from streamrec.infra.wire.follower import Follower
from streamrec.infra.wire.kafka import partition_for
from streamrec.infra.wire.kafka_offsets import end_offsets
from streamrec.infra.wire.kafka_topics import partition_counts
from streamrec.lab.measures import drill_check
from streamrec.lab.measures.drill_check import Broken, CleanPass, Found, StreamPlace
from streamrec.loop.ingesting.admissible import check_partition, located
from streamrec.loop.ingesting.raw import RawRecord
from streamrec.loop.training.training_progress import TrainingProgress
from streamrec.ports import FollowedRecord
from streamrec.settings import Settings

POLL_S = 1.0
EMPTY_POLLS = 20
READ = (
    topics.ITEMS,
    topics.EVENTS,
    topics.REQUESTS,
    topics.RECOMMENDATIONS,
    topics.REPLIES,
    topics.ADAPTERS,
    topics.DEAD_LETTER,
)


@dataclass(slots=True)
class DrillVerdict:
    """How each promise was kept."""

    state: Broken = field(default_factory=Broken)
    training: Broken = field(default_factory=Broken)
    answers: Broken = field(default_factory=Broken)
    dead_letters: Broken = field(default_factory=Broken)
    replies: Broken = field(default_factory=Broken)
    mixed: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)  # what all this was checked over

    @property
    def promises(self) -> dict[str, Broken]:
        asked = {"replies said": self.replies} if self.sizes.get("in_words") else {}
        return {
            "user state and item statistics": self.state,
            "examples trained": self.training,
            "requests answered": self.answers,
            **asked,
            "bad messages kept": self.dead_letters,
        }

    @property
    def lost(self) -> int:
        return sum(broken.lost for broken in self.promises.values())

    @property
    def doubled(self) -> int:
        return sum(broken.doubled for broken in self.promises.values())

    @property
    def kept(self) -> bool:
        return not self.mixed and all(broken.kept for broken in self.promises.values())


def read_logs(settings: Settings, wanted: Sequence[str] = READ) -> dict[str, list[FollowedRecord]]:
    """Everything on the topics, by topic, each partition in its order. Raises Unavailable."""
    ends = {key: end for key, end in end_offsets(settings.kafka, wanted).items() if end}
    logs: dict[str, list[FollowedRecord]] = defaultdict(list)
    codec = clients.codec(settings)
    with Follower(settings.kafka, codec, wanted, "streamrec-drill", from_start=True) as follower:
        idle = 0
        while ends and idle < EMPTY_POLLS:
            seen = follower.poll(POLL_S)
            idle = 0 if seen else idle + 1
            for message in seen:
                logs[message.topic].append(message)
            places = follower.places()
            ends = {place: end for place, end in ends.items() if places[place] < end}
    if ends:
        raise UserError(f"these logs could not be read to their ends: {sorted(ends)}")
    return logs


def judge(
    settings: Settings,
    requests: Sequence[str],
    items: Sequence[Item],
    in_words: Sequence[str] = (),
) -> DrillVerdict:
    """Compare everything that can be compared. ``in_words``: requests that want a reply.

    Raises Unavailable.
    """
    logs = read_logs(settings)
    counts = partition_counts(settings.kafka)
    ends = end_offsets(settings.kafka, [topics.EVENTS])
    clean, refused = _clean_passes(settings, logs[topics.EVENTS], ends, counts, items)
    refused += [
        StreamPlace(seen.topic, seen.partition, seen.offset)
        for topic in (topics.ITEMS, topics.REQUESTS)
        for seen in logs[topic]
        if isinstance(seen.value, Refused)
    ]
    refused += [
        StreamPlace(topics.EVENTS, partition, offset)
        for partition, passed in clean.items()
        for offset in passed.refused
    ]
    verdict = DrillVerdict()
    for partition, passed in clean.items():
        broken = drill_check.check_state(passed, found_state(settings, partition))
        verdict.state.lost += broken.lost
        verdict.state.doubled += broken.doubled
        verdict.state.different += [f"events-{partition} {name}" for name in broken.different]
    ledger = trained(settings)
    verdict.training = drill_check.check_training(clean, ledger)
    answers = [seen.value for seen in logs[topics.RECOMMENDATIONS]]
    verdict.answers = drill_check.check_answers(requests, answers)
    letters = [seen.value for seen in logs[topics.DEAD_LETTER]]
    verdict.dead_letters, repeated = drill_check.check_dead_letters(
        refused, (StreamPlace(letter.topic, letter.partition, letter.offset) for letter in letters)
    )
    controls = [
        (seen.timestamp_ms, seen.value)
        for seen in logs[topics.ADAPTERS]
        if isinstance(seen.value, ControlRecord)
    ]
    replies = [seen.value for seen in logs[topics.REPLIES]]
    events = [s.value for s in logs[topics.EVENTS] if isinstance(s.value, Interaction)]
    noted = {event.reply_id or "" for event in events if event.kind is Kind.REPLY}
    verdict.replies, mixed_up = drill_check.check_replies(in_words, answers, replies, noted)
    verdict.mixed = [*drill_check.mixed(controls, answers), *mixed_up]
    verdict.sizes = {
        "events": sum(passed.position for passed in clean.values()),
        "events_counted": sum(passed.counted for passed in clean.values()),
        "users": sum(len(passed.users) for passed in clean.values()),
        "rows": sum(len(passed.rows) for passed in clean.values()),
        "examples": sum(passed.examples for passed in clean.values()),
        "examples_sent_again": sum(m.seen_again for m in ledger.partitions.values()),
        "requests": len(set(requests)),
        "answers": len(answers),
        "answers_sent_again": len(answers) - len({a.recommendation_id for a in answers}),
        "in_words": len(set(in_words)),
        "replies_said_again": len(replies) - len({reply.reply_id for reply in replies}),
        "generations_answering": len({a.generation for a in answers}),
        "bad_messages": len(refused),
        "dead_letters_sent_again": repeated,
    }
    return verdict


def trained(settings: Settings) -> Ledger:
    """What the newest checkpoint proves to have been trained."""
    progress = progress_of(settings)
    return progress.ledger if progress else Ledger()


def progress_of(settings: Settings) -> TrainingProgress | None:
    saved = DirectoryCheckpoints(settings.state_dir / "checkpoints").newest()
    return None if saved is None else TrainingProgress.from_record(saved.record)


def found_state(settings: Settings, partition: int) -> Found:
    """Everything Redis holds of an events partition, users that nobody sent included."""
    source = Source(topics.EVENTS, partition)
    prefix = f"{settings.redis.key_prefix}:{{{source}}}:u:"
    pattern = prefix.replace("[", "\\[") + "*"
    with clients.redis(settings) as client:
        store = clients.partition_store(settings, client)
        keys = sorted(key.decode() for key in client.scan_iter(match=pattern, count=1_000))
        users = [key.removeprefix(prefix) for key in keys]
        position, records = store.read_users(source, users)
        rows = store.read_rows(source, 0).rows
    known = {user: r for user, r in zip(users, records, strict=True) if r is not None}
    return Found(position, known, {name: row for name, row in rows.items() if row is not None})


def _clean_passes(
    settings: Settings,
    log: Sequence[FollowedRecord],
    ends: Mapping[tuple[str, int], int],
    counts: Mapping[str, int],
    items: Sequence[Item],
) -> tuple[dict[int, CleanPass], list[StreamPlace]]:
    rules = ingest_rules(settings, counts).events
    catalogue = Catalogue()
    catalogue.put(items)
    admitted: dict[int, list[Located]] = defaultdict(list)
    refused = []
    for seen in log:
        try:
            event = _admitted(seen, counts[topics.EVENTS], rules.future_tolerance_ms)
        except Refused:
            refused.append(StreamPlace(seen.topic, seen.partition, seen.offset))
        else:
            admitted[seen.partition].append(event)
    clean = {
        partition: drill_check.clean_pass(
            partition, admitted[partition], ends[topics.EVENTS, partition], rules.fold, catalogue
        )
        for partition in range(counts[topics.EVENTS])
    }
    return clean, refused


def _admitted(seen: FollowedRecord, partitions: int, future_tolerance_ms: int) -> Located:
    if isinstance(seen.value, Refused):
        raise seen.value
    if not isinstance(seen.value, Interaction):
        raise InvalidField(f"not an event but {type(seen.value).__name__}")
    source = Source(topics.EVENTS, seen.partition)
    check_partition(seen.value, source, partition_for(seen.value.user_id, partitions))
    record = RawRecord(
        seen.offset,
        seen.timestamp_ms,
        None,
        None,
        stamped_by_broker=seen.stamped_by_broker,
    )
    return located(record, seen.value, SystemClock().now_ms(), future_tolerance_ms)
