"""Dead letters, put together for the command line and the gateway.

Loads neither torch nor faust.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from streamrec.apps import clients
from streamrec.core import topics
from streamrec.core.dead_letters import (
    DeadLetterPosition,
    DeadLetterRecord,
    DeadLetterSelection,
    Origin,
    Resent,
)
from streamrec.errors import NotThere, StreamrecError, Unavailable
from streamrec.infra.clock import SystemClock
from streamrec.infra.stores.dead_letters import AcknowledgedProducer, KafkaDeadLetterLog
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.resend_ledger import RedisResendLedger
from streamrec.infra.wire.kafka import partition_for
from streamrec.infra.wire.kafka_topics import partition_counts
from streamrec.loop.ingesting.resend import UNCHANGED, Change, Resender
from streamrec.ports.dead_letters import ResendLedger
from streamrec.settings import Settings

CLIENT_ID = "streamrec-cli"


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Everything the commands ask for."""

    letters: KafkaDeadLetterLog
    ledger: ResendLedger

    def chosen(self, choice: DeadLetterSelection) -> list[DeadLetterRecord]:
        """Those that are wanted, oldest first. Raises Unavailable."""
        return [one for one in self.letters.read(choice.since_ms) if choice.takes(one.value)]

    def not_yet(self, letters: list[DeadLetterRecord]) -> list[DeadLetterRecord]:
        """One dead letter for each message, and none that was resent: a crash may leave two of
        one."""
        ledger = self.ledger.all()
        done = {letter.origin for letter in letters if letter.position in ledger}
        by_origin = {letter.origin: letter for letter in letters if letter.origin not in done}
        return list(by_origin.values())

    def find(self, name: DeadLetterPosition | Origin) -> DeadLetterRecord:
        """The dead letter of that name, the newest where a message has several.

        Raises NotThere, Unavailable.
        """
        if isinstance(name, DeadLetterPosition):
            found = self.letters.at(name)
        else:
            matching = [letter for letter in self.letters.read() if letter.origin == name]
            found = matching[-1] if matching else None
        if found is None:
            raise NotThere(
                f"no dead letter {name} is kept; `streamrec dead-letter list` names those that are"
            )
        return found


def resend_each(
    sender: Resender,
    letters: Sequence[DeadLetterRecord],
    change: Change = UNCHANGED,
    *,
    again: bool = False,
    check: bool = True,
) -> tuple[list[Resent], dict[DeadLetterPosition, str]]:
    """What was sent, and why the rest was not. Raises Unavailable: the rest may wait."""
    sent: list[Resent] = []
    problems: dict[DeadLetterPosition, str] = {}
    for letter in letters:
        try:
            sent.append(sender.resend(letter, change, again=again, check=check))
        except Unavailable as error:
            raise Unavailable(f"{error}; {len(sent)} of {len(letters)} were resent") from error
        except StreamrecError as error:
            problems[letter.position] = str(error)
    return sent, problems


@contextmanager
def dead_letters(settings: Settings) -> Iterator[DeadLetters]:
    """Reads and remembers. Raises Unavailable, UserError without the topic."""
    with ExitStack() as stack:
        codec = clients.codec(settings)
        letters = stack.enter_context(KafkaDeadLetterLog(settings.kafka, codec, CLIENT_ID))
        redis = stack.enter_context(connect_redis(settings.redis))
        yield DeadLetters(letters, RedisResendLedger(redis, settings.redis.key_prefix))


@contextmanager
def resender(settings: Settings, ledger: ResendLedger, actor: str = "") -> Iterator[Resender]:
    """Sends dead letters again in the name of ``actor``; empty: of whoever runs this command."""
    partitions = partition_counts(settings.kafka).get(topics.EVENTS, 1)
    outlet = AcknowledgedProducer(settings.kafka, CLIENT_ID)
    try:
        yield Resender(
            outlet.send,
            ledger,
            clients.codec(settings),
            SystemClock(),
            actor or clients.operator(),
            partial(partition_for, partitions=partitions),
        )
    finally:
        outlet.close()
