"""Everything that is known of one answer, put together for the command line and the gateway.
Loads torch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from streamrec.apps import clients
from streamrec.core import topics
from streamrec.core.events import Recommendation
from streamrec.core.release.manifest import Manifest
from streamrec.errors import GenerationRefused, Malformed
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.wire.follower import Follower
from streamrec.infra.wire.kafka_offsets import end_offsets
from streamrec.models.generation import read_manifest
from streamrec.settings import Settings
from streamrec.tasks.ranking.lists.attribution import ItemAttribution
from streamrec.tasks.ranking.lists.explainer import EXPLAINED_PER_S
from streamrec.tasks.ranking.lists.explanation import Explanation
from streamrec.tasks.ranking.model.attribution import attributions, load_head

SEARCH_S = 30.0
"""How long the topic is searched for an answer that is not kept any more."""


@dataclass(frozen=True, slots=True)
class Why:
    """What could be found out. ``problem`` says why ``items`` is empty where it is."""

    recommendation_id: str
    kept: Explanation | None
    items: Sequence[ItemAttribution] = ()
    manifest: Manifest | None = None
    published: Recommendation | None = None  # looked up only when nothing is kept
    problem: str = ""


def why(settings: Settings, recommendation_id: str) -> Why:
    """Raises Unavailable."""
    with connect_redis(settings.redis) as redis:
        store = clients.explanations(settings, redis)
        try:
            kept, problem = store.of(recommendation_id), ""
        except Malformed as error:
            kept, problem = None, str(error)
    if kept is None:
        found = published(settings, recommendation_id)
        manifest = _manifest(settings, found.generation) if found else None
        return Why(recommendation_id, None, (), manifest, found, problem or _not_kept(settings))
    try:
        directory = clients.registry_store(settings).get(kept.generation)
        items: Sequence[ItemAttribution] = attributions(load_head(directory), kept)
    except GenerationRefused as error:
        items, problem = (), f"its scores cannot be taken apart: {error}"
    return Why(recommendation_id, kept, items, _manifest(settings, kept.generation), None, problem)


def fields(found: Why) -> dict[str, Any]:
    """As JSON."""
    kept, manifest = found.kept, found.manifest
    made: dict[str, Any] = {"recommendation_id": found.recommendation_id, "problem": found.problem}
    made["generation"] = manifest and asdict(manifest)
    if found.published is not None:
        made["published"] = {**asdict(found.published), "trigger": found.published.trigger.value}
    if kept is None:
        return made
    made["items"] = [
        {**asdict(item), "logit": item.logit, "inputs": kept.input_of(place)}
        for place, item in enumerate(found.items)
    ]
    made["history"] = list(kept.history)
    made["state"] = {
        "user_id": kept.user_id,
        "position": kept.state_position,
        "user_seen_ms": kept.user_seen_ms,
        "statistics": dict(kept.statistics),
        "watermark_ms": kept.watermark_ms,
        "served_at_ms": kept.served_at_ms,
        "worker_id": kept.worker_id,
        "query": kept.query,
    }
    return made


def published(settings: Settings, recommendation_id: str) -> Recommendation | None:
    """The answer as it stands in the topic; None when it is not there (any more)."""
    wanted = [topics.RECOMMENDATIONS]
    left = {place: end for place, end in end_offsets(settings.kafka, wanted).items() if end}
    deadline_s = time.monotonic() + SEARCH_S
    codec, found = clients.codec(settings), None
    with Follower(settings.kafka, codec, wanted, "streamrec-why", from_start=True) as follower:
        while left and time.monotonic() < deadline_s:
            for seen in follower.poll(1.0):
                value = seen.value
                if isinstance(value, Recommendation) and (
                    value.recommendation_id == recommendation_id
                ):
                    found = value
            places = follower.places()
            left = {place: end for place, end in left.items() if places[place] < end}
    return found


def _manifest(settings: Settings, generation: str) -> Manifest | None:
    try:
        return read_manifest(clients.registry_store(settings).get(generation))
    except GenerationRefused:
        return None


def _not_kept(settings: Settings) -> str:
    keep_s = settings.serving.explain_s
    if not keep_s:
        return "nothing is kept: STREAMREC_SERVING_EXPLAIN_S is 0"
    return (
        f"what it was made from is not kept: it is older than {keep_s:g} s "
        f"(STREAMREC_SERVING_EXPLAIN_S), or more than {EXPLAINED_PER_S:g} lists a second were "
        "answered, or it never was"
    )
