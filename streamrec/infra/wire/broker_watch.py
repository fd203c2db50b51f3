"""Whether the brokers that this process has found are still the cluster's.

Neither of our Kafka clients looks at the bootstrap list again once it knows brokers: when all of
them have moved to other addresses, it asks the old ones for ever. Knows no topic.
"""

from __future__ import annotations

from streamrec.errors import BrokersReplaced, Unavailable
from streamrec.infra.wire.kafka_diagnosis import bootstrap
from streamrec.settings import KafkaSettings

LOOK_S = 10.0


class BrokerWatch:
    """``look`` again and again, in one thread."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._known: frozenset[str] = frozenset()

    def look(self) -> None:
        """One look. Raises Unavailable, BrokersReplaced."""
        asked = list(bootstrap(self._settings, until_one_answers=True))
        found = asked[-1]
        if found.reason is not None:
            raise Unavailable(f"Kafka at {found.address}: {found.reason}", LOOK_S)
        if self._known and found.brokers and not self._known & found.brokers:
            raise BrokersReplaced(
                f"every broker has another address: {', '.join(sorted(found.brokers))}, no longer "
                f"{', '.join(sorted(self._known))}; this worker ends, and finds them when it is "
                "started again"
            )
        self._known |= found.brokers  # one that has just started may not know all of them
