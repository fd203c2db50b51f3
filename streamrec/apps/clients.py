"""Settings that can be connected to, and the clients made from them.

Shared by commands and workers. Loads neither torch nor faust.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial

from redis import Redis

import schemas
from streamrec import settings as reader
from streamrec.core import tasks, topics
from streamrec.core.events import Item, Source
from streamrec.core.pseudonym import pseudonym
from streamrec.core.release import weight_shape
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import ControlRecord
from streamrec.core.state.catalogue import items_of
from streamrec.core.tasks import COPY, RANKING, REPLIES
from streamrec.errors import GenerationRefused, UserError
from streamrec.infra.clock import SystemClock
from streamrec.infra.processes import servers_file
from streamrec.infra.stores.control_log import KafkaControlLog
from streamrec.infra.stores.explanations import RedisExplanations
from streamrec.infra.stores.fleet import RedisFleet
from streamrec.infra.stores.live_board import RedisLiveBoard
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.stores.registry_store import open_registry
from streamrec.infra.stores.reply_store import RedisConversations, RedisReplies
from streamrec.infra.tracking.tracing import open_tracer
from streamrec.infra.wire.codec import ANSWERS, WireCodec
from streamrec.infra.wire.kafka import KafkaPublisher, client_config, full_name
from streamrec.infra.wire.kafka_topics import partition_counts
from streamrec.infra.wire.output import Encode, as_framed, as_json
from streamrec.infra.wire.schema_registry import SchemaRegistry
from streamrec.infra.wire.schema_wait import SchemaWait
from streamrec.infra.wire.values import SHAPES
from streamrec.loop.releasing.release import ReleaseService
from streamrec.ports import ExampleFormat, RegistryStore, Tracer
from streamrec.settings import Adapter, OutputFormat, Settings
from streamrec.tasks.copy import examples as copy_examples
from streamrec.tasks.ranking import examples as ranking_examples
from streamrec.tasks.ranking.lists.explanation import Explanation, packed, unpacked
from streamrec.tasks.replies import examples as reply_examples
from streamrec.tasks.replies import made
from streamrec.tasks.replies.made import MadeReply

FORMATS: Mapping[str, ExampleFormat] = {
    RANKING: ranking_examples.FORMAT,
    COPY: copy_examples.FORMAT,
    REPLIES: reply_examples.FORMAT,
}
"""How the examples of every task of this installation travel."""


OF_COPY = {weight_shape.PREFIX + name for name in ("MAX_TOKENS", "LAYERS", "RANK", "ALPHA")}
"""What the task copy decides for its own adapter (``tasks.copy.model.learner.copy_encoder``)."""


def located(settings: Settings | None = None) -> Settings:
    """Settings whose Kafka and Redis can be connected to.

    Configured addresses stand; otherwise those of a running ``streamrec up`` are taken.

    Raises:
        SettingsError: a setting is unknown or impossible.
        UserError: nothing is configured and nothing runs.
    """
    settings = settings or reader.load()
    kafka, redis = settings.kafka, settings.redis
    if kafka.bootstrap and redis.url:
        return settings
    running = servers_file.read(settings.state_dir)
    if running is None:
        raise UserError(_nowhere(settings))
    return replace(
        settings,
        kafka=replace(kafka, bootstrap=kafka.bootstrap or running.kafka_bootstrap),
        redis=replace(redis, url=redis.url or running.redis_url),
    )


def _nowhere(settings: Settings) -> str:
    missing = " and ".join(
        name
        for name, value in (
            ("STREAMREC_KAFKA_BOOTSTRAP", settings.kafka.bootstrap),
            ("STREAMREC_REDIS_URL", settings.redis.url),
        )
        if not value
    )
    return (
        f"{missing} not configured and no `streamrec up` running in {settings.state_dir}: "
        f"start one, or set {missing}"
    )


def codec(settings: Settings, more: Mapping[str, ExampleFormat] | None = None) -> WireCodec:
    """The codec of every topic; ``more``: formats of tasks that are not built in.

    Raises UserError: recommendations in a registry's frame, but no registry.
    """
    kafka = settings.kafka
    registry = SchemaRegistry(kafka.schema_registry_url) if kafka.schema_registry_url else None
    return WireCodec(
        kafka.max_message_bytes,
        SchemaWait(registry.schema).schema if registry else None,
        formats={**FORMATS, **(more or {})},
        output=_output(settings, registry),
    )


def _output(settings: Settings, registry: SchemaRegistry | None) -> dict[str, Encode]:
    """How answers are written, by topic: their subject is its name and ``-value``."""
    if settings.serving.output is OutputFormat.AVRO:
        return {}
    if settings.serving.output is OutputFormat.JSON:
        return dict.fromkeys(ANSWERS, as_json)
    if registry is None:
        raise UserError(
            "STREAMREC_SERVING_OUTPUT=confluent needs STREAMREC_KAFKA_SCHEMA_REGISTRY_URL"
        )
    return {
        topic: as_framed(
            partial(
                registry.register,
                f"{full_name(settings.kafka, topic)}-value",
                schemas.load(SHAPES[topic].schema),
            )
        )
        for topic in ANSWERS
    }


def publisher(settings: Settings, client_id: str) -> KafkaPublisher:
    """A connected producer; close it. Raises Unavailable."""
    return KafkaPublisher(settings.kafka, client_id)


def tracer(settings: Settings, role: str = "cli") -> Tracer:
    """Of a command; close it. Raises UserError."""
    return open_tracer(settings, role, operator())


def control_log(
    settings: Settings,
    observe: Callable[[ControlRecord], object] = lambda _: None,
    *,
    task: str = RANKING,
) -> KafkaControlLog:
    """A task's slot in the log that workers follow; a context manager, connects at first use."""
    config, prefix = client_config(settings.kafka), settings.kafka.topic_prefix
    return KafkaControlLog(config, codec(settings), prefix, observe=observe, task=task)


def registry_store(settings: Settings, task: str = RANKING) -> RegistryStore:
    """Where a task's generations are kept."""
    cache = tasks.directory(settings.state_dir / "registry-cache", task)
    return open_registry(registry_url(settings, task), cache)


def registry_url(settings: Settings, task: str = RANKING) -> str:
    """A path or an fsspec URL."""
    root = settings.registry_url or str((settings.state_dir / "registry").absolute())
    return root if task == RANKING else f"{root.rstrip('/')}/{task}"


def manifest(settings: Settings, generation: str, task: str = RANKING) -> Manifest | None:
    """A generation's, unchecked; None where it cannot be read. Raises Unavailable."""
    try:
        path = registry_store(settings, task).get(generation) / "manifest.json"
        return Manifest.from_json(path.read_bytes())
    except (GenerationRefused, OSError):
        return None


def changed_since(settings: Settings, manifest: Manifest, task: str = RANKING) -> list[str]:
    """What of the settings that shape weights is other now. Loads no model; of a base model only
    its name is compared."""
    if task == REPLIES:
        wanted, model = settings.replies.model, manifest.settings.get("encoder", {}).get("model")
        return [] if model in (None, wanted) else [f"{weight_shape.MODEL} {model}, now {wanted}"]
    now = weight_shape.shape(asdict(settings.encoder), manifest.base_digest, manifest.feature_set)
    changed = weight_shape.changes(weight_shape.shape_of(manifest), now)
    if task == COPY and settings.encoder.adapter in {Adapter.LORA, Adapter.DORA}:
        changed = [said for said in changed if said.split()[0] not in OF_COPY]
    if manifest.settings.get("encoder", {}).get("model", settings.encoder.model) != (
        settings.encoder.model
    ):
        changed.append(f"{weight_shape.MODEL} {manifest.base_model}, now {settings.encoder.model}")
    return changed


def redis(settings: Settings) -> Redis:
    """A client; a context manager. Raises Unavailable, UserError."""
    return connect_redis(settings.redis)


def fleet(settings: Settings, client: Redis, task: str | None = None) -> RedisFleet:
    """Who is alive: of one task, or everybody."""
    return RedisFleet(client, settings.redis.key_prefix, task=task)


def live_board(settings: Settings, client: Redis, task: str = RANKING) -> RedisLiveBoard:
    """What a task's trainer says of live outcomes."""
    return RedisLiveBoard(client, settings.redis.key_prefix, task)


def explanations(settings: Settings, client: Redis) -> RedisExplanations[Explanation]:
    """What is kept of answers."""
    redis_settings, ttl_s = settings.redis, settings.serving.explain_s
    return RedisExplanations(client, redis_settings.key_prefix, ttl_s, packed, unpacked)


def replies(settings: Settings, client: Redis) -> RedisReplies[MadeReply]:
    """What was said lately, and what waits for a reviewer."""
    return RedisReplies(client, settings.redis.key_prefix, made.packed, made.unpacked)


def conversations(settings: Settings, client: Redis) -> RedisConversations:
    """What was said before."""
    return RedisConversations(client, settings.redis.key_prefix)


def shown_lists(settings: Settings, client: Redis) -> RedisConversations:
    """What was shown in conversations."""
    return RedisConversations(client, settings.redis.key_prefix, "shown", "recommendation_id")


def partition_store(settings: Settings, client: Redis) -> RedisPartitionStore:
    """State by source partition."""
    return RedisPartitionStore(client, settings.redis.key_prefix)


def known_as(settings: Settings, user: str) -> str:
    """The id of a person in topics and stores: a pseudonym where a key is set."""
    key = settings.trust.pseudonym_key
    return pseudonym(key, user) if key and user else user


def catalogue_items(settings: Settings) -> dict[str, Item]:
    """Every item the feature workers have applied, by id. Raises Unavailable."""
    partitions = partition_counts(settings.kafka).get(topics.ITEMS, 0)
    found: dict[str, Item] = {}
    with redis(settings) as client:
        store = partition_store(settings, client)
        for partition in range(partitions):
            rows = store.read_rows(Source(topics.ITEMS, partition), since=0).rows
            found |= {item.item_id: item for item in items_of(rows)}
    return found


def known_tasks(settings: Settings) -> list[str]:
    """Ranking, and every task that has a record in the control log or a worker alive."""
    with control_log(settings) as control, redis(settings) as client:
        alive = {worker.task for worker in fleet(settings, client).workers()}
        return [RANKING, *sorted({*control.tasks(), *alive} - {RANKING})]


def checked_task(settings: Settings, task: str) -> str:
    """The same. Raises UserError when nobody knows a task of that name, Unavailable."""
    if task != RANKING and task not in (known := known_tasks(settings)):
        raise UserError(f"no task {task!r} is known here; known: {', '.join(known)}")
    return task


@contextmanager
def release_service(
    settings: Settings, task: str = RANKING, actor: str = ""
) -> Iterator[ReleaseService]:
    """Changes to a task's slot in the name of ``actor``; empty: of whoever runs this command."""
    with control_log(settings, task=task) as control, redis(settings) as client:
        yield ReleaseService(
            control,
            fleet(settings, client, task),
            registry_store(settings, task),
            SystemClock(),
            actor or operator(),
            stage_timeout_s=settings.trainer.swap_timeout_s,
        )


def operator() -> str:
    """Who runs this command, for the control log."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user
        name = "somebody"
    return f"{name}@{socket.gethostname()}"


def default_worker_id(role: str) -> str:
    """Unique on all hosts as long as the process lives."""
    return f"{role}-{socket.gethostname()}-{os.getpid()}"
