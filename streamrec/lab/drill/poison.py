"""The poison drill in its order: who tells the loop lies, and what comes of it?

1. Start servers and workers on a fresh state directory; load a catalogue of known tastes.
2. *Learning*, then *good*: honest people come by until lists are good and traffic is known.
3. *Attack*: false clicks, a bot, turned labels, a stuffed text, beside the honest people.
4. *Calm*: only honest people; wait until the alarm has lifted its pin by itself.
5. *Fooled*: a generation that ranks upside down gets past the gate: the drill activates it.
   Nobody but the loop may take it back.
6. *After*: are the lists as good as before?

3 shows what quotas, gate and alarm stop, 5 what happens when something gets through anyway.
Lists are judged by what people truly like (``lab.drill.poison_world``), not by clicks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from streamrec.apps import clients
from streamrec.apps.local_loop import TRAINER, LocalLoop, ProcessCounts
from streamrec.core import topics
from streamrec.core.events import Interaction, Request
from streamrec.core.release.registry import ControlRecord
from streamrec.errors import Refused, RegistryConflict, Unavailable, UserError
from streamrec.infra.clock import SystemClock
from streamrec.infra.wire.follower import Follower
from streamrec.lab.demo.ready import Readiness, load_catalogue
from streamrec.lab.demo.waiting import insist_on, wait_for
from streamrec.lab.drill import poison_world
from streamrec.lab.drill.own_loop import drill_loop, drill_settings
from streamrec.lab.drill.poison_report import Phase, PoisonObservations, report
from streamrec.lab.drill.poison_world import Attack, World
from streamrec.lab.drill.poisoned import put_upside_down
from streamrec.loop.training.alarm import ACTOR as ALARM
from streamrec.settings import Adapter, Settings

READY_WITHIN_S = 600.0
GOOD, GOOD_WITHIN_S = 0.7, 120.0
"""Part of what is seen that is liked; the attack begins after so long in any case."""
LIFTED_WITHIN_S = 120.0
UNDONE_WITHIN_S = 90.0
JUDGED_WITHIN_S, JUST_NOW_MS = 60.0, 2_000
AFTER_S = 20.0
RELEASE_S = 30.0
"""Candidates come so far apart that the bad one is undone before a good one could replace it."""
TURN_S = 0.1
WATCH_EVERY_S = 1.0
SAY_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class PoisonOptions:
    """What can be chosen on the command line.

    ``phase_s``: of good, attack and calm each; a short one shortens what comes after, too.
    """

    seed: int = 0
    attack: Attack = Attack.ALL
    phase_s: float = 60.0
    rate: float = 25.0  # visits of honest people, a second
    attacks: float = 5.0  # rounds of the attackers, a second
    processes: ProcessCounts = ProcessCounts(features=1, trainer=1, serving=1)


def poison_settings(given: Settings, phase_s: float) -> Settings:
    """As every drill's, with short windows; what bounds an attack keeps its proportions."""
    settings = drill_settings(given)
    return replace(
        settings,
        encoder=replace(settings.encoder, adapter=Adapter.NONE),  # the head alone: seconds count
        ingest=replace(settings.ingest, attribution_window_s=3.0),
        trainer=replace(
            settings.trainer,
            quota_window=256,
            release_examples=1_000_000,
            release_s=min(RELEASE_S, 2 * phase_s),
        ),
        canary=replace(settings.canary, window_s=3.0, min_lists=30, shown_only=True),
        guard=replace(settings.guard, click_drop=0.3),
        alarm=replace(settings.alarm, window=40, reference=24, calm=3),
    )


def run_poison_drill(
    given: Settings, options: PoisonOptions, say: Callable[[str], None]
) -> dict[str, Any]:
    """Do it all; the report (``lab.drill.poison_report``).

    Raises UserError or Unavailable when it cannot start.
    """
    settings = poison_settings(given, options.phase_s)
    with drill_loop(given, settings, options.processes, say) as (loop, stack):
        return PoisonDrill(loop, options, say, stack).perform()


class PoisonDrill:
    """One drill on a loop that has been started."""

    def __init__(
        self, loop: LocalLoop, options: PoisonOptions, say: Callable[[str], None], stack: ExitStack
    ) -> None:
        self._loop = loop
        self._settings = loop.settings
        self._options = options
        self._say = say
        self._clock = SystemClock()
        self._codec = clients.codec(self._settings)
        redis = stack.enter_context(clients.redis(self._settings))
        self._fleet = clients.fleet(self._settings, redis)
        self._publisher = clients.publisher(self._settings, "streamrec-drill")
        stack.callback(self._publisher.close)
        self._follower = stack.enter_context(
            Follower(
                self._settings.kafka,
                self._codec,
                (topics.RECOMMENDATIONS, topics.ADAPTERS),
                "streamrec-drill",
            )
        )
        self._world = World(options.seed)
        self._seen = PoisonObservations(options.attack)
        self._attacking = False
        self._owed_visits = self._owed_attacks = 0.0
        self._turned_s = self._watched_s = self._said_s = time.monotonic()

    def perform(self) -> dict[str, Any]:
        """All phases; the report."""
        load_catalogue(poison_world.catalogue(), self._codec, self._publisher)
        self._say(f"waiting for the workers; their logs are in {self._loop.log_dir}")
        items = len(poison_world.catalogue())
        readiness = Readiness(self._settings, self._options.processes, items)
        insist_on(readiness.missing, READY_WITHIN_S, partial(self._turn, busy=False))
        self._good()
        self._attack()
        self._calm()
        self._fooled()
        self._phase(Phase.AFTER, min(AFTER_S, self._options.phase_s))
        self._seen.ended_ms = self._clock.now_ms()
        return report(self._seen) | {"seed": self._options.seed}

    # -- the phases -------------------------------------------------------------------

    def _good(self) -> None:
        """Until lists are good, so that there is something to be harmed; then the phase."""
        self._begin(Phase.LEARNING)
        wait_for(self._not_good_yet, GOOD_WITHIN_S, self._turn)
        self._phase(Phase.GOOD, self._options.phase_s)

    def _not_good_yet(self) -> str:
        if self._still_alarmed():
            self._call_it_usual()
        if not self._seen.state.history:
            return "one generation only"
        quality = self._seen.quality(self._clock.now_ms())
        return "" if quality is not None and quality >= GOOD else "lists are not good yet"

    def _call_it_usual(self) -> None:
        """As an operator would who knows why traffic changes: lists are getting better."""
        self._say("an alarm while lists get better: unpinned, this is usual")
        with (
            suppress(UserError, RegistryConflict),
            clients.release_service(self._settings) as service,
        ):
            service.unpin("poison drill: lists are getting better")

    def _attack(self) -> None:
        self._seen.limited_before = self._limited()
        self._attacking = True
        self._world.turned = self._options.attack in (Attack.ALL, Attack.FLIPS)
        if self._options.attack in (Attack.ALL, Attack.KEYWORDS):
            load_catalogue([poison_world.STUFFED], self._codec, self._publisher)
        self._phase(Phase.ATTACK, self._options.phase_s)
        self._attacking = self._world.turned = False

    def _calm(self) -> None:
        self._phase(Phase.CALM, self._options.phase_s)
        wait_for(self._still_alarmed, LIFTED_WITHIN_S, self._turn)
        self._seen.limited_after = self._limited()

    def _still_alarmed(self) -> str:
        pin = self._seen.state.pin
        return "pinned by the alarm" if pin is not None and pin.actor == ALARM else ""

    def _fooled(self) -> None:
        """People go on coming by while the drill activates what nobody should."""
        wait_for(self._next_is_near, JUDGED_WITHIN_S, self._turn)
        champion = self._seen.state.champion or ""
        store = clients.registry_store(self._settings)
        work = self._settings.state_dir / "poisoned"
        bad = put_upside_down(store, champion, work, self._clock.now_ms())
        self._begin(Phase.FOOLED)
        self._seen.bad = bad
        self._say(f"{bad}, {champion} upside down, gets past the gate")
        with ThreadPoolExecutor(1, thread_name_prefix="activate") as aside:
            activated = aside.submit(self._activate, bad)
            wait_for(
                lambda: "" if self._seen.undone is not None or _failed(activated) else "not undone",
                UNDONE_WITHIN_S,
                self._turn,
            )
            activated.result()

    def _next_is_near(self) -> str:
        """Right after one candidate the next is furthest: a good one would replace the bad, too."""
        judged = self._seen.judged_ms
        just_now = judged is not None and self._clock.now_ms() - judged < JUST_NOW_MS
        return "" if just_now else "no candidate was judged just now"

    def _activate(self, bad: str) -> None:
        with clients.release_service(self._settings) as service:
            service.activate(bad, "poison drill: what if the gate were fooled?")

    # -- going on ---------------------------------------------------------------------

    def _phase(self, phase: Phase, seconds: float) -> None:
        self._begin(phase)
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self._turn()

    def _begin(self, phase: Phase) -> None:
        self._seen.begin(phase, self._clock.now_ms())
        self._say(f"{phase}: {phase.meaning}")

    def _turn(self, *, busy: bool = True) -> None:
        """Everybody acts, what came is taken in, and who died is started again."""
        now_s, now_ms = time.monotonic(), self._clock.now_ms()
        elapsed_s, self._turned_s = min(1.0, now_s - self._turned_s), now_s
        if busy:
            self._act(elapsed_s, now_ms)
        for seen in self._follower.poll(TURN_S):
            if isinstance(seen.value, Refused):
                continue
            if isinstance(seen.value, ControlRecord):
                self._seen.decided(seen.value, seen.timestamp_ms)
            else:
                self._world.shown(seen.value)
                self._seen.recommended(seen.value, seen.timestamp_ms)
        if now_s - self._watched_s >= WATCH_EVERY_S:
            self._watched_s = now_s
            self._loop.watch()
        if busy and now_s - self._said_s >= SAY_EVERY_S:
            self._said_s = now_s
            self._say(self._seen.line(now_ms))

    def _act(self, elapsed_s: float, now_ms: int) -> None:
        self._owed_visits += self._options.rate * elapsed_s
        while self._owed_visits >= 1:
            self._owed_visits -= 1
            for message in self._world.visit(now_ms):
                self._send(message)
        self._owed_attacks += self._options.attacks * elapsed_s * self._attacking
        while self._owed_attacks >= 1:
            self._owed_attacks -= 1
            for message in self._world.attack(self._options.attack, now_ms):
                self._send(message)

    def _send(self, message: Interaction | Request) -> None:
        topic = topics.REQUESTS if isinstance(message, Request) else topics.EVENTS
        data = self._codec.encode(topic, message)
        self._publisher.publish(topic, message.user_id.encode(), data)

    def _limited(self) -> int:
        """Examples that a quota has limited so far."""
        with suppress(Unavailable):
            for worker in self._fleet.workers():
                if worker.role == TRAINER:
                    return int(worker.gauges.get("limited_by_quota", 0))
        return 0


def _failed(what: Future[None]) -> bool:
    return what.done() and what.exception() is not None
