"""What an undo needs to know, gathered from registry, Kafka, fleet and disk.

Loads no torch: an operator in a hurry does not wait for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from streamrec.apps import clients
from streamrec.core import tasks, topics
from streamrec.core.events import Source
from streamrec.core.ledger import quarantine, undo
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.ledger.undo import UndoPoint
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import RegistryState
from streamrec.core.tasks import RANKING
from streamrec.errors import GenerationRefused, UserError
from streamrec.infra.clock import SystemClock
from streamrec.infra.stores.checkpoints import DirectorySnapshots
from streamrec.infra.wire.kafka import partition_for
from streamrec.infra.wire.kafka_offsets import log_bounds, offsets_since
from streamrec.ports import RegistryStore
from streamrec.settings import Settings

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class UndoRequest:
    """What the operator asked for, as written: ``user`` is a person's id, no pseudonym."""

    quarantine: Sequence[str] = ()  # PARTITION:FROM-TO
    since: str = ""
    user: str = ""
    to: str = ""


def named_by_workers(settings: Settings, task: str = RANKING) -> set[str]:
    """Snapshots that the trainers of a task say they have. Raises Unavailable."""
    with clients.redis(settings) as redis:
        workers = clients.fleet(settings, redis, task).workers()
        return {name for worker in workers for name in worker.snapshots}


def bases_of(
    settings: Settings, places: Collection[tuple[str, int]]
) -> Mapping[tuple[str, int], int]:
    """How far the offsets of state are from those of the logs. Raises Unavailable."""
    with clients.redis(settings) as redis:
        store = clients.partition_store(settings, redis)
        return {place: store.log_of(Source(*place)).base for place in places}


@dataclass(frozen=True, slots=True)
class Sources:
    """Who is asked: where logs begin and end, what came since a moment, who has snapshots, how
    far offsets of state are from those of the logs (by short topic name and partition)."""

    bounds: Callable[..., Mapping[tuple[str, int], tuple[int, int]]] = log_bounds
    since: Callable[..., Mapping[int, int]] = offsets_since
    snapshots: Callable[[Settings, str], set[str]] = named_by_workers
    bases: Callable[..., Mapping[tuple[str, int], int]] = bases_of


@dataclass(frozen=True, slots=True)
class Undo:
    """What to append: nothing has been changed yet."""

    to: str
    ranges: tuple[Quarantine, ...]


def plan(
    settings: Settings,
    state: RegistryState,
    wanted: UndoRequest,
    task: str = RANKING,
    sources: Sources = Sources(),
) -> Undo:
    """Resolve times and users to offsets, and find the generation to go back to.

    Raises UserError with what is possible instead, Unavailable.
    """
    bounds = sources.bounds(settings.kafka, (topics.EVENTS, topics.TRAINING_BATCHES))
    bases = sources.bases(settings, [place for place in bounds if place[0] == topics.EVENTS])
    ends = {
        p: end + bases[topic, p]
        for (topic, p), (_, end) in bounds.items()
        if topic == topics.EVENTS
    }
    first_batch, _ = bounds[topics.TRAINING_BATCHES, 0]
    batches = (tasks.key(topics.TRAINING_BATCHES, task), 0)
    first_batch += sources.bases(settings, [batches])[batches]
    places = _places(clients.registry_store(settings, task), state)
    ranges = _ranges(settings, wanted, places, ends, sources)
    kept = snapshots(settings, task, sources)
    found = undo.choose(places, kept, first_batch, ranges, wanted.to or None)
    return Undo(found.generation, tuple(ranges))


def snapshots(settings: Settings, task: str = RANKING, sources: Sources = Sources()) -> set[str]:
    """Generations that a trainer here or elsewhere can go back to. Raises Unavailable."""
    here = tasks.directory(settings.state_dir, task) / "snapshots"
    return sources.snapshots(settings, task) | set(DirectorySnapshots(here).names())


def moment_ms(text: str, now_ms: int) -> int:
    """``10m`` (ago; s, m, h, d) or ISO 8601, UTC where it does not say. Raises UserError."""
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if ago:
        return now_ms - int(float(ago[1]) * _UNITS_S[ago[2]] * 1000)
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UserError(
            f"{text!r} is no time: write 10m, 2h, or 2026-01-31T12:00:00 (UTC)"
        ) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _ranges(
    settings: Settings,
    wanted: UndoRequest,
    places: Sequence[UndoPoint],
    ends: dict[int, int],
    sources: Sources,
) -> list[Quarantine]:
    user = clients.known_as(settings, wanted.user) or None
    ranges = [quarantine.written(text, user) for text in wanted.quarantine]
    unknown = [str(at) for at in ranges if at.partition not in ends]
    if unknown:
        raise UserError(f"{unknown[0]}: events has the partitions 0 to {len(ends) - 1}")
    if wanted.since:
        at_ms = moment_ms(wanted.since, SystemClock().now_ms())
        since = sources.since(settings.kafka, topics.EVENTS, at_ms)
        bases = sources.bases(settings, [(topics.EVENTS, p) for p in since])
        starts = {p: start + bases[topics.EVENTS, p] for p, start in since.items()}
        ranges += [
            Quarantine(p, start, ends[p], user) for p, start in starts.items() if start < ends[p]
        ]
        if not ranges:
            raise UserError(f"no event has come since {wanted.since}: nothing to quarantine")
    if user and not ranges:
        back = next((at for at in places[1:] if wanted.to in ("", at.generation)), None)
        if back is None:
            raise UserError("say which events of the user: --quarantine or --since")
        partition = partition_for(user, len(ends))
        start = back.through.get(partition, 0)
        ranges = [Quarantine(partition, start, max(ends[partition], start + 1), user)]
    if user:
        partition = partition_for(user, len(ends))
        ranges = [at for at in ranges if at.partition == partition]
        if not ranges:
            raise UserError(
                f"events of {wanted.user} are in partition {partition}, and of that there is "
                "nothing to quarantine: give another range or an earlier time"
            )
    return ranges


def _places(store: RegistryStore, state: RegistryState) -> list[UndoPoint]:
    """Champion and former champions, newest first, as far as their manifests can be read."""
    champion = (state.champion,) if state.champion else ()
    places = []
    for generation in dict.fromkeys((*champion, *reversed(state.history))):
        try:
            text = (store.get(generation) / "manifest.json").read_text()
            places.append(undo.place_of(Manifest.from_json(text)))
        except (GenerationRefused, OSError):
            continue
    return places
