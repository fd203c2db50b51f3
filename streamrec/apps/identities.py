"""Whose the state at each place is: compared before anything is changed, and told to a place that
does not know (``core.identity``).

Who may: a trainer compares and tells all places, everybody else those they may read; feature
workers do not read the control log (docs/operating.md, Rights in Kafka).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from threading import Event
from typing import Any

import fsspec
from redis import Redis

from streamrec.apps import clients
from streamrec.core import tasks, topics
from streamrec.core.events import Source
from streamrec.core.identity import Identity, agreed
from streamrec.core.ledger import ledger as watermarks
from streamrec.core.tasks import RANKING
from streamrec.errors import Unavailable, UserError
from streamrec.infra.stores.checkpoints import DirectoryCheckpoints
from streamrec.infra.stores.redis_client import redis_errors
from streamrec.infra.wire.kafka_topics import cluster_id
from streamrec.settings import Settings

ABREAST_TRIES, ABREAST_S = 15, 2.0
FILE = "installation.json"
"""In the registry's root."""


def confirmed(settings: Settings, role: str, client: Redis, task: str = RANKING) -> Identity:
    """Ours, once every place that the role uses has agreed; what did not know was told.

    Raises UserError, having changed nothing, when two disagree; Unavailable.
    """
    found = said(settings, client, task, log=role != "features", files=role != "features")
    whole = agreed(found)
    if role == "trainer":
        named = whole.filled(Identity(uuid.uuid4().hex[:16]))
        with clients.control_log(settings, task=task) as control:
            whole = whole.filled(Identity.from_json(control.identify(named.to_json())))
        _tell_registry(settings, task, whole)
    key = redis_key(settings)
    with redis_errors("saying whose it is"):
        there = _bytes(client.get(key))
        if Identity.from_json(there) != whole:
            client.set(key, whole.to_json(), nx=there is None)  # another may be first
    return whole


def said(
    settings: Settings, client: Redis, task: str = RANKING, *, log: bool = True, files: bool = True
) -> dict[str, Identity]:
    """What each place says, by its name. ``log``: the control log too; ``files``: registry and
    checkpoints. Raises Unavailable."""
    kafka = settings.kafka
    found = {f"Kafka at {kafka.bootstrap}": Identity("", cluster_id(kafka), kafka.topic_prefix)}
    if log:
        with clients.control_log(settings, task=task) as control:
            name = f"the control log {kafka.topic_prefix}{topics.ADAPTERS}"
            found[name] = Identity.from_json(control.identity())
    with redis_errors("asking whose it is"):
        data = _bytes(client.get(redis_key(settings)))
        found[_redis_name(settings)] = Identity.from_json(data)
    if files:
        found |= _of_files(settings, task)
    return found


def redis_key(settings: Settings) -> str:
    return f"{settings.redis.key_prefix}:installation"


def fingerprint(settings: Settings) -> str:
    """Of the pseudonym key; empty without one. Says nothing of the key."""
    if not (key := settings.trust.pseudonym_key):
        return ""
    return hashlib.blake2b(key.encode(), person=b"pseudonyms", digest_size=4).hexdigest()


def check_pseudonyms(settings: Settings) -> None:
    """For a command that knows people by their pseudonyms: whether by this key, the first used.

    Raises UserError when Redis knows them by another; Unavailable.
    """
    ours = Identity(pseudonyms=fingerprint(settings))
    if not ours.pseudonyms:
        return
    with clients.redis(settings) as client, redis_errors("asking by which key people are known"):
        found = Identity.from_json(_bytes(client.get(redis_key(settings))))
        whole = agreed({"STREAMREC_TRUST_PSEUDONYM_KEY": ours, _redis_name(settings): found})
        if found != whole:
            client.set(redis_key(settings), whole.to_json())


def behind(settings: Settings, client: Redis, task: str = RANKING) -> list[str]:
    """Where Redis has not come as far as the trainer's checkpoint had already learned.

    An empty Redis folds from the beginning and is not behind. Raises Unavailable.
    """
    checkpoints = _checkpoints(settings, task)
    saved = checkpoints.newest()
    if saved is None:
        return []
    store, events = clients.partition_store(settings, client), topics.EVENTS
    learned = watermarks.from_record(saved.record["ledger"]).trained_through
    applied = {partition: store.position(Source(events, partition)) for partition in learned}
    return [
        f"the checkpoint in {checkpoints.root} has learned {settings.kafka.topic_prefix}{events}-"
        f"{partition} up to {to}, {_redis_name(settings)} stands at {applied[partition]}"
        for partition, to in learned.items()
        if 0 < applied[partition] < to
    ]


def wait_until_abreast(settings: Settings, client: Redis, stop: Event, task: str = RANKING) -> None:
    """A Redis that died comes back a second older and is soon where it was; one restored from a
    backup is not.

    Raises UserError, having changed nothing, when it is still behind; Unavailable.
    """
    for _ in range(ABREAST_TRIES):
        if not (found := behind(settings, client, task)) or stop.wait(ABREAST_S):
            return
    raise UserError(
        f"{'; '.join(found)}: Redis is older than what was learned. Nothing was changed. Where it "
        "was restored from a backup, let feature workers read up to there first, then start the "
        "trainer: docs/operating.md, Restoring"
    )


def _of_files(settings: Settings, task: str) -> Mapping[str, Identity]:
    url, checkpoints = clients.registry_url(settings, task), _checkpoints(settings, task)
    filesystem, path = _marker(url)
    try:
        data = filesystem.cat_file(path)
    except FileNotFoundError:
        data = None
    except OSError as error:
        raise Unavailable(f"the registry {url} did not answer: {error}") from error
    return {
        f"the registry {url}": Identity.from_json(data),
        f"the checkpoints in {checkpoints.root}": Identity(checkpoints.owner()),
    }


def _tell_registry(settings: Settings, task: str, whole: Identity) -> None:
    url = clients.registry_url(settings, task)
    filesystem, path = _marker(url)
    try:
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        if not filesystem.exists(path):
            filesystem.pipe_file(path, whole.to_json())
    except OSError as error:
        raise Unavailable(f"the registry {url} did not take {FILE}: {error}") from error


def _marker(url: str) -> tuple[Any, str]:
    filesystem, root = fsspec.core.url_to_fs(url)
    return filesystem, f"{root.rstrip('/')}/{FILE}"


def _checkpoints(settings: Settings, task: str) -> DirectoryCheckpoints:
    return DirectoryCheckpoints(tasks.directory(settings.state_dir, task) / "checkpoints")


def _redis_name(settings: Settings) -> str:
    where = settings.redis.url.rpartition("@")[2].removeprefix("redis://")
    return f"Redis at {where} ({settings.redis.key_prefix}:*)"


def _bytes(value: Any) -> bytes | None:
    return value if isinstance(value, bytes) else None
