"""One task's examples of one events partition, on their way to Kafka.

Knows the outbox they wait in, when a mini-batch is cut, and what no message can hold. What an
example says is the task's.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamrec.core import tasks, topics
from streamrec.core.events import DeadLetter, Source
from streamrec.core.examples import Example, TrainingBatch
from streamrec.core.state.batching import Batcher, BatchRules, halves
from streamrec.errors import TooLarge
from streamrec.loop.ingesting.event_traces import EventTraces
from streamrec.loop.ingesting.raw import IntakeCounts
from streamrec.ports import EXAMPLE, Counted, ExampleSource, OutboxEntry, Timed
from streamrec.ports.edges import Edges


class ExampleStream:
    """``outbox``: its name. Entries and examples come in the order of their places."""

    def __init__(
        self,
        source: Source,
        edges: Edges,
        of: ExampleSource,
        rules: BatchRules,
        counts: IntakeCounts,
        *,
        traces: EventTraces,
    ) -> None:
        self.outbox = tasks.key("examples", of.task)
        self.published: OutboxEntry | None = None  # the last one handed to Kafka
        self._topic = topics.of_task(topics.TRAINING_BATCHES, of.task)
        self._example = topics.of_task(EXAMPLE, of.task)
        self._key = topics.batch_key(of.task, source.partition)
        self._codec, self._publisher, self._clock = edges.codec, edges.publisher, edges.clock
        self._counts, self._meter, self._traces = counts, edges.meter, traces
        self._batcher = Batcher(source.partition, of.format.feature_set, rules)
        self._encoded: dict[tuple[int, int], bytes] = {}  # by place, of those that wait

    @property
    def oldest(self) -> int | None:
        """The source offset of the example that has waited longest."""
        return self._batcher.oldest

    def leave_out(self, holes: Sequence[tuple[int, int]]) -> None:
        """Source offsets that were given up: no batch covers them."""
        self._batcher.leave_out(holes)

    def entries(self, examples: Sequence[Example]) -> list[OutboxEntry]:
        """As a commit writes them."""
        encode = self._codec.encode
        return [OutboxEntry(e.offset, e.index, encode(self._example, e)) for e in examples]

    def add(self, examples: Sequence[Example], entries: Sequence[OutboxEntry], now_ms: int) -> None:
        """They are committed; the next batches hold them."""
        for example, entry in zip(examples, entries, strict=True):
            self._encoded[example.offset, example.index] = entry.payload
            self._batcher.add(example, len(entry.payload), now_ms)

    def publish(self, now_ms: int, position: int) -> None:
        """Hand the batches that are full or old enough to Kafka."""
        for batch in self._batcher.cut(now_ms, position):
            self._publish(batch)
            if batch.examples:
                age_s = (now_ms - batch.examples[0].produced_at_ms) / 1000
                self._meter.observe(Timed.STAGE, [age_s], stage="batch")
                last = batch.examples[-1]
                self.published = OutboxEntry(last.offset, last.index, b"")

    def publish_again(self, entries: Sequence[OutboxEntry]) -> None:
        """What an outbox still held after a takeover, at once."""
        for entry in entries:
            example = self._codec.decode(self._example, entry.payload)
            self._batcher.add(example, len(entry.payload), 0)
        # more may wait behind these: nothing after the last one is known to have had its say
        for batch in self._batcher.cut(0, entries[-1].offset, everything=True):
            self._publish(batch)

    def _publish(self, batch: TrainingBatch) -> None:
        try:
            data = self._encode(batch)
            with self._traces.batch(batch) as span:
                self._publisher.publish(topics.TRAINING_BATCHES, self._key, data, span.headers)
        except TooLarge as error:
            if len(batch.examples) > 1:
                for half in halves(batch):
                    self._publish(half)
                return
            self._give_up(batch, error)  # one example, wider than a message: nobody could read it
        self._counts.batches += 1
        self._counts.examples += len(batch.examples)
        for example in batch.examples:
            self._encoded.pop((example.offset, example.index), None)

    def _encode(self, batch: TrainingBatch) -> bytes:
        """Of what its entries hold; one that was taken over may be of an older version."""
        encoded = [self._encoded.get((e.offset, e.index)) for e in batch.examples]
        known = [payload for payload in encoded if payload is not None]
        if len(known) < len(encoded):
            return self._codec.encode(self._topic, batch)
        return self._codec.encode_batch(self._topic, batch, known)

    def _give_up(self, batch: TrainingBatch, error: TooLarge) -> None:
        places = ", ".join(str(example.offset) for example in batch.examples)
        letter = DeadLetter(
            topics.TRAINING_BATCHES,
            batch.partition,
            batch.from_offset,
            self._key,
            None,
            error.code,
            f"{error}: the example of the event at offset {places}, not trained",
            self._clock.now_ms(),
        )
        data = self._codec.encode(topics.DEAD_LETTER, letter)
        self._publisher.publish(topics.DEAD_LETTER, self._key, data)
        self._meter.count(Counted.DEAD_LETTERS, topic=letter.topic, code=letter.code)
