"""A repair of kafka-python 3.0.12: a join that outlives one ``poll`` must be finished.

When the leader's topic metadata arrives after it has joined (usual for a quick broker, as
the client waits 0.1 s before it asks), the member joins again. If that second join takes
longer than the ``poll`` that began it, kafka-python sends it, gets its answer, and never
applies it: the member stays in the group with no partitions. One start in five on Apache
Kafka 4.3 (docs/adr/0011). Only ``subscribe`` is affected, not ``assign``.
"""

from __future__ import annotations

from kafka import KafkaConsumer


def finish_joins(consumer: KafkaConsumer) -> KafkaConsumer:
    """Make the consumer's group membership come to an end it has begun; returns it.

    Call it right after constructing a consumer that has a group id.
    """
    coordinator = consumer._coordinator
    asks = coordinator.need_rejoin

    def need_rejoin() -> bool:
        return bool(coordinator.rejoining or asks())

    coordinator.need_rejoin = need_rejoin
    return consumer


__all__ = ["finish_joins"]
