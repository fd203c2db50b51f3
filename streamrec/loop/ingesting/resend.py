"""Sending a dead letter again, at most once unless somebody insists.

Knows the order that makes a second copy impossible without a word. Does not know Kafka,
Redis, or who asks.

One dead letter, in this order:

1. The ledger is told: whoever comes second, or again, is refused here.
2. What is about to be sent is checked as its consumer will check it; if it fails, the
   claim is taken back.
3. The message goes to its topic and Kafka acknowledges it. Its headers tell whoever reads
   the topic what it is.
4. The ledger is told where it stands. A dead letter that stands there too is thereby known as
   the second refusal of the same thing.

A crash between 1 and 4 leaves a claim without a place: perhaps sent. Sending again then
takes ``again``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from streamrec.core import topics
from streamrec.core.dead_letters import DeadLetterPosition, DeadLetterRecord, Origin, Resent
from streamrec.core.events import Interaction
from streamrec.core.tasks import RANKING
from streamrec.errors import Refused, TooLarge, UserError
from streamrec.loop.ingesting.item_keys import item_of
from streamrec.ports import Clock, Codec
from streamrec.ports.dead_letters import ResendLedger, Send

OF = "streamrec-resend-of"  # the dead letter's place in the dead-letter topic
FIRST = "streamrec-first-refused"  # the place of the refused message
BY = "streamrec-resent-by"


@dataclass(frozen=True, slots=True)
class Change:
    """What is sent instead of the original; None leaves it as it was."""

    value: bytes | None = None
    key: bytes | None = None


UNCHANGED = Change()


@dataclass(frozen=True, slots=True)
class Resender:
    """``partition_of``: the events partition of a user id, to warn of a key that misses it."""

    send: Send
    ledger: ResendLedger
    codec: Codec
    clock: Clock
    operator: str
    partition_of: Callable[[str], int]

    def resend(
        self,
        letter: DeadLetterRecord,
        change: Change = UNCHANGED,
        *,
        again: bool = False,
        check: bool = True,
    ) -> Resent:
        """Send it to the topic it was refused on.

        Raises UserError: its value was not kept, it was resent before (unless ``again``), or
        it would be refused once more (unless ``check`` is off); Unavailable, TooLarge.
        """
        key = letter.value.key if change.key is None else change.key
        value = letter.value.value if change.value is None else change.value
        if value is None and not self._removes_an_item(letter):
            raise UserError(
                f"{letter.position}: its value was not kept ({letter.value.reason}); "
                "give one with --value-file"
            )
        claim = Resent(letter.position, self.operator, self.clock.now_ms())
        before = self.ledger.claim(claim)
        if before is not None and not again:
            raise UserError(_already(before))
        try:
            if check:
                self._check(letter, key, value)
            to = self.send(letter.value.topic, key, value, self._headers(letter))
        except (UserError, TooLarge):  # certainly not sent
            self._take_back(claim, before)
            raise
        done = replace(claim, to=to)
        self.ledger.confirm(done)
        return done

    def _take_back(self, claim: Resent, before: Resent | None) -> None:
        if before is None:
            self.ledger.withdraw(claim.letter)
        else:
            self.ledger.confirm(before)

    def _removes_an_item(self, letter: DeadLetterRecord) -> bool:
        """A null value means something on the items topic, unless it was too large to keep."""
        return letter.value.topic == topics.ITEMS and letter.value.code != TooLarge.code

    def _check(self, letter: DeadLetterRecord, key: bytes | None, value: bytes | None) -> None:
        topic = letter.value.topic
        try:
            if topic == topics.ITEMS:
                item_of(self.codec, lambda _: True, key, value)
            if value is None:
                return
            found = self.codec.decode(topics.of_task(topic, letter.task or RANKING), value)
        except Refused as error:
            raise UserError(
                f"{letter.position}: {topic} would refuse it again: {error}. Mend it with --edit, "
                "--value-file or --key, or insist with --unchecked"
            ) from None
        if isinstance(found, Interaction) and not self._reaches(found, key):
            raise UserError(
                f"{letter.position}: the key {key!r} leads to another partition than that of "
                f"its user; give --key {found.user_id}, or insist with --unchecked"
            )

    def _reaches(self, event: Interaction, key: bytes | None) -> bool:
        try:
            keyed = (key or b"").decode()
        except UnicodeDecodeError:
            return False
        return bool(keyed) and self.partition_of(keyed) == self.partition_of(event.user_id)

    def _headers(self, letter: DeadLetterRecord) -> Mapping[str, str]:
        return {OF: str(letter.position), FIRST: str(letter.origin), BY: self.operator}


def by_destination(ledger: Mapping[DeadLetterPosition, Resent]) -> Mapping[Origin, Resent]:
    """Resendings by where the message stands now."""
    return {resent.to: resent for resent in ledger.values() if resent.to}


def _already(before: Resent) -> str:
    if before.to is None:
        return (
            f"{before.letter}: {before.by} began to resend it and was not seen to finish: it may "
            "have been sent. Look on its topic, then insist with --again"
        )
    return f"{before.letter}: already resent to {before.to} by {before.by}; insist with --again"
