"""The drill of producers as they are: is what they mean what is known in the end?

1. Start Apache Kafka and workers on a fresh state directory; load a catalogue as converters
   write it.
2. A population of producers sends what people do (``lab.drill.wild_world``).
3. Half-way, partitions are added to `events`: everybody must say so, and a command goes on.
4. A connector sends its past again; passers-by let event time go on until all lists close.
5. Compare users, examples, catalogue and dead letters with what was meant.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from kafka import KafkaProducer
from kafka.admin import NewPartitions

from streamrec.apps import migration
from streamrec.apps.local_loop import FEATURES, LocalLoop, ProcessCounts, empty
from streamrec.apps.status import Observer
from streamrec.core import topics
from streamrec.errors import UserError
from streamrec.infra.clock import SystemClock
from streamrec.infra.processes.apache_kafka import ApacheKafka
from streamrec.infra.wire.kafka import admin_client, full_name, make_producer
from streamrec.infra.wire.kafka_topics import partition_counts
from streamrec.lab.demo.ready import Readiness
from streamrec.lab.demo.waiting import insist_on, wait_for
from streamrec.lab.drill import wild_evidence
from streamrec.lab.drill.own_loop import drill_settings
from streamrec.lab.drill.servers import start_apache
from streamrec.lab.drill.wild_report import Condition, WildFacts, report
from streamrec.lab.drill.wild_world import (
    CatalogueTopic,
    Outgoing,
    WildProducer,
    catalogue,
    everywhere,
    population,
)
from streamrec.lab.measures.wild_check import ProducerOutcome, WildTally, check
from streamrec.settings import Settings

READY_WITHIN_S = 600.0
DRAIN_WITHIN_S = 240.0
WINDOW_S = 4.0
TURN_S = 0.5
LOOK_S = 0.2
METADATA_MS = 2_000
"""A producer sees new partitions so late."""
CATALOGUE = "catalogue"
"""Who sends it."""
ADDED = 2
TOLD_WITHIN_S = 60.0
MIGRATE = "state migrate"
"""What whoever notices new partitions tells to run."""
ANY_STAMP = {"log.message.timestamp.after.max.ms": str(2**63 - 1)}
"""As brokers are that were set up before Kafka 4: a record's stamp may be of any time."""
PASSERS = 12
"""A turn: with 4 to 8 partitions, some of them in each."""


@dataclass(frozen=True, slots=True)
class WildOptions:
    """What can be chosen on the command line."""

    seed: int = 0
    seconds: float = 60.0
    processes: ProcessCounts = ProcessCounts(features=2, trainer=1, serving=1)


def wild_settings(given: Settings) -> Settings:
    """As for other drills; lists close soon."""
    settings = drill_settings(given)
    return replace(settings, ingest=replace(settings.ingest, attribution_window_s=WINDOW_S))


def run_wild_drill(
    given: Settings, options: WildOptions, say: Callable[[str], None]
) -> dict[str, Any]:
    """Do it all; the report, JSON-able.

    Raises UserError or Unavailable when it cannot start.
    """
    if given.kafka.bootstrap:
        raise UserError("this drill starts a broker; STREAMREC_KAFKA_BOOTSTRAP names one")
    settings = wild_settings(given)
    empty(settings.state_dir)
    with ExitStack() as stack:
        apache = start_apache(given, settings, stack, say, ANY_STAMP)
        settings = replace(settings, kafka=replace(settings.kafka, bootstrap=apache.bootstrap))
        loop = stack.enter_context(LocalLoop(settings, options.processes, say))
        return WildDrill(loop, options, say, stack).perform()


class Voices:
    """A client for each producer, made as its habit wants it. Closed with ``stack``."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._clients: dict[str, KafkaProducer] = {}
        self.places: dict[tuple[str, int, int], str] = {}  # -> name of who sent it

    def say(self, name: str, messages: Iterable[Outgoing], **config: Any) -> None:
        """Send and wait for acknowledgements; remember where each message stands."""
        client = self._client(name, config)
        sent = [
            (message.topic, client.send(full_name(self._settings.kafka, message.topic), **fields))
            for message in messages
            for fields in [_fields(message)]
        ]
        client.flush()
        for topic, future in sent:
            place = future.get(timeout=30)
            self.places[topic, place.partition, place.offset] = name

    def turn(self, producer: WildProducer, now_ms: int) -> None:
        """One visit of a producer, in a transaction where that is its habit."""
        config = {"compression_type": producer.compression}
        messages = producer.turn(now_ms)
        if not producer.transactional:
            self.say(producer.name, messages, **config)
            return
        client = self._client(producer.name, config | {"transactional_id": producer.name})
        client.begin_transaction()
        self.say(producer.name, messages)
        if producer.ends_well():
            client.commit_transaction()
        else:
            client.abort_transaction()

    def _client(self, name: str, config: Mapping[str, Any]) -> KafkaProducer:
        if name not in self._clients:
            config = {"metadata_max_age_ms": METADATA_MS, **config}
            client = make_producer(self._settings.kafka, f"wild-{name}", **config)
            self._stack.callback(client.close)
            if "transactional_id" in config:
                client.init_transactions()
            self._clients[name] = client
        return self._clients[name]


def _fields(message: Outgoing) -> dict[str, Any]:
    stamp = {} if message.timestamp_ms is None else {"timestamp_ms": message.timestamp_ms}
    return {"key": message.key, "value": message.value, **stamp}


class WildDrill:
    """One drill on a loop that has been started."""

    def __init__(
        self,
        loop: LocalLoop,
        options: WildOptions,
        say: Callable[[str], None],
        stack: ExitStack,
    ) -> None:
        self._loop = loop
        self._settings = loop.settings
        self._options = options
        self._say = say
        self._clock = SystemClock()
        self._rng = random.Random(options.seed)  # noqa: S311 - reproducible, no secret
        self._voices = Voices(self._settings, stack)
        self._observer = stack.enter_context(Observer(self._settings))
        self._population = population(options.seed)
        self._catalogue: CatalogueTopic = catalogue()
        self._requests: list[str] = []
        self._conditions: list[Condition] = []
        self._unfinished = ""

    def perform(self) -> dict[str, Any]:
        """All of it; the report."""
        self._load()
        self._say(f"{len(self._population)} producers, seed {self._options.seed}")
        self._play(self._options.seconds / 2)
        self._conditions.append(self._add_partitions())
        self._play(self._options.seconds / 2)
        for producer in self._population:
            self._voices.say(producer.name, producer.again())
        self._close()
        return self._judge()

    def _load(self) -> None:
        self._voices.say(CATALOGUE, self._catalogue.put)
        self._say(f"waiting for the workers; their logs are in {self._loop.log_dir}")
        ready = Readiness(self._settings, self._options.processes, len(self._catalogue.put))
        insist_on(ready.missing, READY_WITHIN_S, self._turn)
        self._voices.say(CATALOGUE, self._catalogue.removed)

    def _play(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            begun_s = time.monotonic()
            for producer in self._population:
                self._voices.turn(producer, self._clock.now_ms())
            self._pass_by()
            self._ask()
            self._loop.watch()
            time.sleep(max(0.0, TURN_S - (time.monotonic() - begun_s)))

    def _add_partitions(self) -> Condition:
        """While everybody goes on sending; then, as the page for operators says it."""
        kafka, what = self._settings.kafka, f"{ADDED} partitions added to events"
        count = partition_counts(kafka)[topics.EVENTS] + ADDED
        self._say(f"{what}: {count} now")
        with admin_client(kafka) as admin:
            admin.create_partitions({full_name(kafka, topics.EVENTS): NewPartitions(count)})
        begun_s = time.monotonic()
        wait_for(self._untold, TOLD_WITHIN_S, lambda: self._play(TURN_S))
        told_after_s = round(time.monotonic() - begun_s, 1)
        told_by = self._tellers()
        self._play(2 * METADATA_MS / 1000)  # until the last producer knows
        self._loop.stop_workers()
        problem = wait_for(self._unmoved, TOLD_WITHIN_S, lambda: time.sleep(LOOK_S))
        self._loop.start_workers()
        return Condition(what, told_by, told_after_s, problem)

    def _tellers(self) -> list[str]:
        """Who says that state and partitions do not fit."""
        look = self._observer.look()
        logs = {log.stem: log.read_text() for log in sorted(self._loop.log_dir.glob("*.log"))}
        told = [name for name, text in logs.items() if MIGRATE in text]
        return [*told, *(["status"] if MIGRATE in (look.misfit or "") else [])]

    def _untold(self) -> str:
        told = self._tellers()
        features = {n for role, n in self._options.processes.names() if role == FEATURES}
        return ", ".join(sorted({"status", *features} - set(told)))

    def _unmoved(self) -> str:
        """What keeps users' state from being moved; moves it when nothing does."""
        try:
            planned = migration.plan(self._settings)
        except UserError as error:
            return str(error)
        if planned is not None:
            migration.migrate(self._settings, planned)
        return ""

    def _pass_by(self) -> None:
        self._voices.say("passers-by", everywhere(self._clock.now_ms(), PASSERS, self._rng))

    def _ask(self) -> None:
        """A request, compressed as few clients do."""
        request_id = f"wild-{len(self._requests)}"
        self._requests.append(request_id)
        now_ms = self._clock.now_ms()
        fields = {"request_id": request_id, "user_id": "web-u1", "requested_at": now_ms, "k": 3}
        message = Outgoing(topics.REQUESTS, b"web-u1", json.dumps(fields).encode())
        self._voices.say("requests", [message], compression_type="zstd")

    def _close(self) -> None:
        """Passers-by go on for the window and more; then everything must be dealt with."""
        until_s = time.monotonic() + 2 * WINDOW_S
        while time.monotonic() < until_s:
            self._pass_by()
            self._turn()
        self._unfinished = wait_for(self._undone, DRAIN_WITHIN_S, self._turn)

    def _turn(self) -> None:
        self._loop.watch()
        time.sleep(LOOK_S)

    def _undone(self) -> str:
        flows = {flow.topic: flow for flow in self._observer.look().flows}
        behind = {t: flows[t].lag for t in (topics.EVENTS, topics.ITEMS) if flows[t].lag != 0}
        return ", ".join(f"{lag} behind on {topic}" for topic, lag in behind.items())

    # -- what is found ----------------------------------------------------------------

    def _judge(self) -> dict[str, Any]:
        self._say("comparing with what was meant …")
        known = wild_evidence.known(self._settings, self._voices.places)
        tallies = {
            producer.name: check(
                producer.meant,
                ProducerOutcome(
                    {user: c for user, c in known.counts.items() if producer.owns(user)},
                    {user: e for user, e in known.examples.items() if producer.owns(user)},
                    known.refused.get(producer.name, ()),
                ),
                certain=producer.certain,
            )
            for producer in self._population
        }
        refused = known.refused.get(CATALOGUE, ())
        tallies[CATALOGUE] = wild_evidence.of_catalogue(self._settings, self._catalogue, refused)
        return self._report(tallies, known.answered)

    def _report(self, tallies: Mapping[str, WildTally], answered: frozenset[str]) -> dict[str, Any]:
        facts = WildFacts(
            seed=self._options.seed,
            seconds=self._options.seconds,
            kafka=ApacheKafka.name,
            requests=len(self._requests),
            unanswered=len(set(self._requests) - answered),
            died_by_themselves=self._loop.deaths,
            not_finished=self._unfinished,
        )
        habits = {producer.name: producer.habit for producer in self._population}
        return report(tallies, habits, self._conditions, facts)


__all__ = ["WildDrill", "WildOptions", "run_wild_drill", "wild_settings"]
