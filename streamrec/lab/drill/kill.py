"""The drill in its order: is everything counted exactly once, whoever is killed?

1. Start servers and workers on a fresh state directory; load the catalogue.
2. Send a known stream. Meanwhile kill workers at random moments, and now and then Redis or
   the broker; whoever dies is started again.
3. Wait until everybody is back; stop sending, and wait until nothing is left to do.
4. Compare with a clean pass over the logs (``lab.drill.evidence``).
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any

from streamrec.apps import clients
from streamrec.apps.local_loop import LocalLoop, ProcessCounts, empty
from streamrec.apps.status import Observer
from streamrec.core import tasks, topics
from streamrec.core.events import Source
from streamrec.core.measures.percentiles import percentiles
from streamrec.errors import Unavailable, UserError
from streamrec.infra.clock import SystemClock
from streamrec.infra.processes.apache_kafka import ApacheKafka
from streamrec.infra.wire.kafka import KafkaPublisher
from streamrec.infra.wire.kafka_offsets import end_offsets, group_offsets
from streamrec.infra.wire.kafka_topics import partition_counts
from streamrec.lab.demo.cleaning import remove_traces
from streamrec.lab.demo.ready import Readiness
from streamrec.lab.demo.waiting import insist_on, wait_for
from streamrec.lab.drill import evidence, stream
from streamrec.lab.drill.evidence import DrillVerdict
from streamrec.lab.drill.own_loop import drill_settings
from streamrec.lab.drill.report import KillFacts, report
from streamrec.lab.drill.sender import Sender
from streamrec.lab.drill.servers import (
    ApacheTarget,
    EmbeddedBrokerTarget,
    EmbeddedRedisTarget,
    Target,
    start_apache,
)
from streamrec.lab.drill.strikes import Recoveries, Strike, choose, schedule, work_of
from streamrec.lab.drill.transactions import TransactionalPublisher
from streamrec.loop.releasing.fleet_watch import SERVING
from streamrec.settings import Settings

READY_WITHIN_S = 600.0
BACK_WITHIN_S = 120.0
DRAIN_WITHIN_S = 240.0
LOOK_S = 0.2
SAY_EVERY_S = 10.0
WORKED = (topics.EVENTS, topics.ITEMS, topics.USER_UPDATES, topics.REQUESTS)


@dataclass(frozen=True, slots=True)
class KillOptions:
    """What can be chosen on the command line. ``apache``: start an Apache Kafka."""

    minutes: float = 5.0
    seed: int = 0
    kills: int = 40
    rate: float = 40.0
    apache: bool = False
    processes: ProcessCounts = ProcessCounts(features=2, trainer=1, serving=2)


def run_kill_drill(
    given: Settings, options: KillOptions, say: Callable[[str], None]
) -> dict[str, Any]:
    """Do it all; the report (``lab.drill.report``).

    Raises UserError or Unavailable when it cannot start.
    """
    if options.apache and given.kafka.bootstrap:
        raise UserError("--kafka apache starts a broker, but STREAMREC_KAFKA_BOOTSTRAP names one")
    settings = drill_settings(given)
    empty(settings.state_dir)
    with ExitStack() as stack:
        apache = start_apache(given, settings, stack, say) if options.apache else None
        if apache is not None:
            kafka = replace(settings.kafka, bootstrap=apache.bootstrap)
            settings = replace(settings, kafka=kafka)
        loop = stack.enter_context(
            LocalLoop(settings, options.processes, _unless_asked(say), (0.2,))
        )
        stack.callback(remove_traces, given, loop.settings, say)
        return KillDrill(loop, apache, options, say, stack).perform()


def _unless_asked(say: Callable[[str], None]) -> Callable[[str], None]:
    """Deaths by SIGKILL are what a drill is made of: only the others are worth a line."""
    return lambda line: None if "was killed by SIGKILL" in line else say(line)


class KillDrill:
    """One drill on a loop that has been started."""

    def __init__(
        self,
        loop: LocalLoop,
        apache: ApacheKafka | None,
        options: KillOptions,
        say: Callable[[str], None],
        stack: ExitStack,
    ) -> None:
        """``stack`` closes what the drill looks with, before the loop is stopped."""
        self._loop = loop
        self._settings = loop.settings
        self._options = options
        self._say = say
        self._clock = SystemClock()
        self._rng = random.Random(options.seed)  # noqa: S311 - reproducible, no secret
        redis = stack.enter_context(clients.redis(self._settings))
        self._fleet = clients.fleet(self._settings, redis)
        self._store = clients.partition_store(self._settings, redis)
        self._observer = stack.enter_context(Observer(self._settings))
        self._recoveries = Recoveries()
        self._begun_s = time.monotonic()
        self._said_s = 0.0
        self._counts = partition_counts(self._settings.kafka)
        codec = clients.codec(self._settings)
        self._publisher = self._producer(apache is not None)
        self._words = words = options.processes.replies > 0
        known = stream.DrillStream(options.seed, codec, self._counts[topics.EVENTS], words=words)
        self._catalogue = list(stream.items(codec))
        self._sender = Sender(known, self._publisher, options.rate)
        self._targets = self._find_targets(apache)
        self._facts = KillFacts(options.seed, 0.0, self._kafka_name(apache))
        self._facts.promises = {t.name: t.promise for t in self._targets.values()}

    def _producer(self, transactions: bool) -> KafkaPublisher | TransactionalPublisher:
        """``transactions``: where the broker has them."""
        name = "streamrec-drill"
        if transactions:
            return TransactionalPublisher(self._settings.kafka, name)
        return clients.publisher(self._settings, name)

    def _find_targets(self, apache: ApacheKafka | None) -> dict[str, Target]:
        """Servers that are ours to kill."""
        ours, found = self._loop.pids(), list[Target]()
        if apache is not None:
            found.append(ApacheTarget(apache))
        if EmbeddedBrokerTarget.name in ours:
            found.append(EmbeddedBrokerTarget(self._loop, self._silence))
        if EmbeddedRedisTarget.name in ours:
            data_dir = self._settings.state_dir / "embedded"
            found.append(EmbeddedRedisTarget(self._loop, data_dir))
        return {target.name: target for target in found}

    def _kafka_name(self, apache: ApacheKafka | None) -> str:
        if apache is not None:
            return apache.name
        return next((n for n in self._targets if n == EmbeddedBrokerTarget.name), "configured")

    # -- the acts ---------------------------------------------------------------------

    def perform(self) -> dict[str, Any]:
        """All of it; the report.

        A KeyboardInterrupt ends the strikes early; what was sent is still judged.
        """
        self._make_ready()
        try:
            self._strike_for_a_while()
        except KeyboardInterrupt:
            self._facts.interrupted = True
            self._say("interrupted; waiting until everybody is back and everything done …")
        self._finish()
        self._say("comparing with a clean pass over the logs …")
        verdict = self._judge()
        self._note_facts()
        self._publisher.close()
        return report(self._recoveries.kills, verdict, self._facts)

    def _make_ready(self) -> None:
        self._sender.send_now(self._catalogue)
        self._say(f"waiting for the workers; their logs are in {self._loop.log_dir}")
        readiness = Readiness(self._settings, self._options.processes, len(self._catalogue))
        insist_on(readiness.missing, READY_WITHIN_S, self._turn)
        for target in self._targets.values():
            self._say(f"{target.name}: {target.promise}")
        self._begun_s = time.monotonic()
        self._sender.start()

    def _strike_for_a_while(self) -> None:
        options, seconds = self._options, self._options.minutes * 60
        servers = sorted(self._targets)
        strikes = schedule(options.seed, seconds, options.kills, servers)
        self._say(f"{len(strikes)} kills in {options.minutes:g} minutes, seed {options.seed}")
        wait_for(lambda: "" if self._everybody_works() else "work", BACK_WITHIN_S, self._turn)
        self._begun_s, self._said_s = time.monotonic(), 0.0
        while strikes and self._elapsed_s < seconds:
            self._turn()
            self._facts.seconds = round(self._elapsed_s, 1)
            if strikes[0].at_s <= self._elapsed_s and self._hit(strikes[0]):
                strikes.pop(0)

    def _finish(self) -> None:
        """Everybody back, while there is work to be back at; then everything done."""
        wait_for(
            lambda: "some are still down" if self._recoveries.open else "",
            BACK_WITHIN_S,
            self._turn,
        )
        self._sender.stop()
        self._facts.not_finished = wait_for(self._undone, DRAIN_WITHIN_S, self._turn)
        if self._facts.not_finished:
            self._say(f"gave up waiting: {self._facts.not_finished}")

    def _judge(self) -> DrillVerdict:
        sent = self._sender.sent
        verdict = evidence.judge(self._settings, sent.requests, stream.catalogue(), sent.in_words)
        if isinstance(self._publisher, TransactionalPublisher):
            verdict.sizes["transactions_taken_back"] = self._publisher.taken_back
        found, bad = verdict.sizes["bad_messages"], self._sender.sent.bad
        if found != bad:
            verdict.dead_letters.different.append(
                f"{bad} bad messages were sent, {found} are found bad"
            )
        return verdict

    # -- striking ---------------------------------------------------------------------

    def _hit(self, strike: Strike) -> bool:
        """Whether somebody was killed; if not, nobody suits right now."""
        if strike.server is not None:
            return self._hit_server(self._targets[strike.server])
        pids = {n: pid for n, pid in self._loop.pids().items() if n not in self._targets}
        name = choose(strike, self._rng, pids, self._recoveries.down)
        if name is None:
            return False
        at_ms = self._clock.now_ms()
        with suppress(ProcessLookupError):
            os.killpg(pids[name], signal.SIGKILL)
            self._recoveries.worker_killed(name, at_ms)
        return True

    def _hit_server(self, target: Target) -> bool:
        """Then nobody else is hit until everybody who was up works again: that is measured."""
        names = {name for _, name in self._options.processes.names()} - self._recoveries.down
        if not names:
            return False
        before = self._positions()
        self._say(f"killing {target.name}")
        at_ms = target.strike(self._clock)
        self._facts.redis_events_rolled_back += max(0, before - self._positions())
        self._recoveries.server_killed(target.name, at_ms, self._clock.now_ms(), names)
        self._sender.resume()
        wait_for(
            lambda: "work" if target.name in {k.name for k in self._recoveries.open} else "",
            BACK_WITHIN_S,
            self._turn,
        )
        return True

    def _silence(self) -> None:
        self._sender.pause()
        wait_for(self._undone, DRAIN_WITHIN_S, self._turn)

    def _everybody_works(self) -> bool:
        wanted = {name for _, name in self._options.processes.names()}
        return wanted <= {w.worker_id for w in self._fleet.workers() if work_of(w) > 0}

    def _positions(self) -> int:
        return sum(
            self._store.position(Source(topics.EVENTS, partition))
            for partition in range(self._counts[topics.EVENTS])
        )

    # -- waiting ----------------------------------------------------------------------

    def _turn(self) -> None:
        """Restart who died, hear who is back, say how it goes."""
        now_ms = self._clock.now_ms()
        self._loop.watch()
        for target in self._targets.values():
            target.watch(now_ms)
        with suppress(Unavailable):
            self._recoveries.observe(self._fleet.workers())
        if self._elapsed_s - self._said_s >= SAY_EVERY_S:
            self._said_s = self._elapsed_s
            self._say(self._progress())
        time.sleep(LOOK_S)

    def _undone(self) -> str:
        """What is left to do; empty when the loop has caught up with the logs."""
        look = {flow.topic: flow for flow in self._observer.look().flows}
        behind = {name: look[name].lag for name in WORKED if look[name].lag != 0}
        if behind:
            return ", ".join(f"{lag} behind on {name}" for name, lag in behind.items())
        if self._words and (left := self._unsaid()):
            return f"{left} lists not looked at by replies workers"
        for partition in range(self._counts[topics.EVENTS]):
            if self._store.outbox(Source(topics.EVENTS, partition), "examples", 1):
                return f"examples of events-{partition} are not sent yet"
        written = self._written(topics.TRAINING_BATCHES)  # as of now: all of them are sent
        progress = evidence.progress_of(self._settings)
        learned = progress.next_batch if progress else 0
        if learned < written:
            return f"{learned} of {written} mini-batches are in the trainer's checkpoint"
        return ""

    def _written(self, topic: str) -> int:
        return next(flow.written for flow in self._observer.look().flows if flow.topic == topic)

    def _unsaid(self) -> int:
        """Lists that no replies worker has dealt with."""
        kafka = self._settings.kafka
        read = group_offsets(kafka, tasks.key(SERVING, tasks.REPLIES))
        ends = end_offsets(kafka, [topics.RECOMMENDATIONS])
        return sum(max(0, end - read.get(place, 0)) for place, end in ends.items())

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._begun_s

    def _progress(self) -> str:
        kills = self._recoveries.kills
        times = [k.recovery_s for k in kills if k.recovery_s is not None]
        found = percentiles(times, 50, 95)
        down = ", ".join(sorted(self._recoveries.down)) or "nobody"
        minutes, seconds = divmod(int(self._elapsed_s), 60)
        line = f"{minutes}:{seconds:02} · {self._sender.sent.messages:,} sent · {len(kills)} kills"
        if times:
            line += f" · back after {found['p50']:.1f} s (95 %: {found['p95']:.1f} s)"
        return f"{line} · down: {down}"

    def _note_facts(self) -> None:
        facts = self._facts
        facts.sent, facts.bad_sent = self._sender.sent.messages, self._sender.sent.bad
        killed = sum(kill.name not in self._targets for kill in self._recoveries.kills)
        facts.died_by_themselves = max(0, self._loop.deaths - killed)
        for target in self._targets.values():
            if isinstance(target, EmbeddedRedisTarget):
                facts.redis_bytes_cut = target.bytes_cut


__all__ = ["KillDrill", "KillOptions", "run_kill_drill"]
