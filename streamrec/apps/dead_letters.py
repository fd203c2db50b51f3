"""Dead letters, put together for the command line. Loads neither torch nor faust."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from streamrec.apps import clients
from streamrec.core import topics
from streamrec.core.dead_letters import DeadLetterPosition, DeadLetterRecord, Origin
from streamrec.errors import UserError
from streamrec.infra.clock import SystemClock
from streamrec.infra.stores.dead_letters import AcknowledgedProducer, KafkaDeadLetterLog
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.resend_ledger import RedisResendLedger
from streamrec.infra.wire.kafka import partition_for
from streamrec.infra.wire.kafka_topics import partition_counts
from streamrec.loop.ingesting.resend import Resender
from streamrec.ports.dead_letters import ResendLedger
from streamrec.settings import Settings

CLIENT_ID = "streamrec-cli"


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Everything the commands ask for."""

    letters: KafkaDeadLetterLog
    ledger: ResendLedger

    def find(self, name: DeadLetterPosition | Origin) -> DeadLetterRecord:
        """The dead letter of that name, the newest where a message has several.

        Raises UserError when there is none, Unavailable.
        """
        if isinstance(name, DeadLetterPosition):
            found = self.letters.at(name)
        else:
            matching = [letter for letter in self.letters.read() if letter.origin == name]
            found = matching[-1] if matching else None
        if found is None:
            raise UserError(
                f"no dead letter {name} is kept; `streamrec dead-letter list` names those that are"
            )
        return found


@contextmanager
def dead_letters(settings: Settings) -> Iterator[DeadLetters]:
    """Reads and remembers. Raises Unavailable, UserError without the topic."""
    with ExitStack() as stack:
        codec = clients.codec(settings)
        letters = stack.enter_context(KafkaDeadLetterLog(settings.kafka, codec, CLIENT_ID))
        redis = stack.enter_context(connect_redis(settings.redis))
        yield DeadLetters(letters, RedisResendLedger(redis, settings.redis.key_prefix))


@contextmanager
def resender(settings: Settings, ledger: ResendLedger) -> Iterator[Resender]:
    """Sends dead letters again in the name of whoever runs this command."""
    partitions = partition_counts(settings.kafka).get(topics.EVENTS, 1)
    outlet = AcknowledgedProducer(settings.kafka, CLIENT_ID)
    try:
        yield Resender(
            outlet.send,
            ledger,
            clients.codec(settings),
            SystemClock(),
            clients.operator(),
            partial(partition_for, partitions=partitions),
        )
    finally:
        outlet.close()
