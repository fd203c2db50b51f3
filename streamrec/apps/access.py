"""API keys of this installation: where they are kept, for whom they are made. Loads no model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from streamrec.apps import clients, identities
from streamrec.core import access
from streamrec.core.access import ApiKey, Scope
from streamrec.core.identity import Identity
from streamrec.errors import Unavailable, UserError
from streamrec.infra.clock import SystemClock
from streamrec.infra.stores import key_file
from streamrec.infra.stores.key_file import KeyRing
from streamrec.infra.stores.key_use import RedisKeyUse
from streamrec.infra.stores.redis_client import redis_errors
from streamrec.settings import Settings

FILE = "gateway-keys.json"
"""In the state directory, where no setting names another."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as a person asks for it; see ``core.access`` for what the words may be."""

    name: str
    roles: tuple[str, ...]
    users: str = ""
    lasts: str = ""


def path(settings: Settings, given: Path | None = None) -> Path:
    """Where the keys are; ``given`` on the command line counts first."""
    named = settings.gateway.keys_file
    return given or (Path(named) if named else settings.state_dir / FILE)


def scope(settings: Settings, installation: str) -> Scope:
    return Scope(settings.kafka.topic_prefix, settings.redis.key_prefix, installation)


def key_ring(settings: Settings) -> KeyRing:
    """For a gateway that is starting; which installation it is of, it learns when Redis is there.

    Raises UserError: the file cannot be used, or is named by a setting and not there.
    """
    file = path(settings)
    named = bool(settings.gateway.keys_file)
    return KeyRing(file, scope(settings, ""), SystemClock(), must_exist=named)


def make(settings: Settings, file: Path, wanted: NewKey) -> tuple[ApiKey, str]:
    """A new key in the file, and its secret, which is kept nowhere. Raises UserError."""
    now_ms, secret = SystemClock().now_ms(), key_file.new_secret()
    key = ApiKey(
        key_file.new_key_id(),
        access.checked_name(wanted.name),
        access.checked_roles(wanted.roles, wanted.users),
        access.digest_of(secret),
        scope(settings, _installation(settings)),
        now_ms,
        wanted.users,
        access.expiry_ms(wanted.lasts, now_ms),
    )
    with key_file.changed_keys(file) as keys:
        keys.append(key)
    return key, secret


def revoke(file: Path, named: str) -> ApiKey:
    """Take the key of this id, or the only one of this name, out of the file. Raises UserError."""
    with key_file.changed_keys(file) as keys:
        found = [key for key in keys if named in (key.key_id, key.name)]
        if not found:
            known = ", ".join(f"{key.key_id} ({key.name})" for key in keys) or "none"
            raise UserError(f"no key {named!r} in {file}; there: {known}")
        if len(found) > 1:
            ids = ", ".join(key.key_id for key in found)
            raise UserError(f"{len(found)} keys are called {named}: name one of {ids}")
        keys.remove(found[0])
    return found[0]


def key_use(settings: Settings, client: Redis) -> RedisKeyUse:
    """When each key was used last, as gateways tell."""
    return RedisKeyUse(client, settings.redis.key_prefix)


def last_used(settings: Settings) -> dict[str, int] | None:
    """When each key was used last, by its id, in ms; None where nobody can be asked."""
    try:
        with clients.redis(clients.located(settings)) as client:
            return key_use(settings, client).all()
    except (UserError, Unavailable):
        return None


def _installation(settings: Settings) -> str:
    """Its name, if somebody can be asked: a key can be made before the first start."""
    try:
        located = clients.located(settings)
        with clients.redis(located) as client, redis_errors("asking whose it is"):
            found = client.get(identities.redis_key(located))
    except (UserError, Unavailable):
        return ""
    return Identity.from_json(found if isinstance(found, bytes) else None).installation
