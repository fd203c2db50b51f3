"""Who may call the gateway, and for what: keys by role, and what one of them covers.

Knows roles, how a secret is recognised without being kept, for whose installation and whose users a
key was made, and when it ends. Does not know where keys are kept (``infra.stores.key_file``) nor
what a route needs (``apps.gateway``). Pure: a secret and the time are arguments.

A secret has 256 random bits, so its plain SHA-256 cannot be guessed backwards: a slow hash, which
passwords need, would only cost every request its time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from streamrec.core.dead_letters import parse_age_ms
from streamrec.errors import AccessRefused, UserError

SECRET_PREFIX = "sr_"  # noqa: S105 - what every secret begins with
"""So that a person, and whoever looks for leaked secrets, sees what it is."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Role(StrEnum):
    """What a key may do; a key may have several."""

    READ = "read"  # ask and look
    WRITE = "write"  # send events and items
    ADMIN = "admin"  # everything, also change which generation answers


@dataclass(frozen=True, slots=True)
class Scope:
    """The installation a key was made for; an empty name was not known then, and fits any."""

    topics: str  # their prefix
    redis: str  # the prefix of its keys
    installation: str = ""  # as ``core.identity`` has it

    def fits(self, other: Scope) -> bool:
        if (self.topics, self.redis) != (other.topics, other.redis):
            return False
        return self.installation in ("", other.installation) or not other.installation


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: everything but the secret."""

    key_id: str
    name: str  # of whoever has it; the control log names it
    roles: frozenset[Role]
    digest: str  # SHA-256 of the secret, hexadecimal
    scope: Scope
    created_at_ms: int
    users: str = ""  # what the user ids it may see begin with; empty: everybody's
    expires_at_ms: int | None = None

    def may(self, role: Role) -> bool:
        return role in self.roles or Role.ADMIN in self.roles

    def covers(self, user_id: str) -> bool:
        """Whether it may ask, tell or be told of this user, by the person's own id."""
        return user_id.startswith(self.users)

    def expired(self, now_ms: int) -> bool:
        return self.expires_at_ms is not None and now_ms >= self.expires_at_ms


ANONYMOUS = ApiKey("", "anonymous", frozenset({Role.READ, Role.WRITE}), "", Scope("", ""), 0)
"""Whoever calls a gateway of this host alone that has no keys file."""


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def recognised(keys: Iterable[ApiKey], secret: str, scope: Scope, now_ms: int) -> ApiKey:
    """The key with this secret. Every key is compared, whichever fits.

    Raises AccessRefused: there is none, it has expired, or it is another installation's.
    """
    digest = digest_of(secret)
    fitting = [key for key in keys if hmac.compare_digest(key.digest, digest)]
    if not fitting:
        raise AccessRefused("no key of this gateway has this secret", "unknown-key", known=False)
    (key, *_) = fitting
    if not key.scope.fits(scope):
        raise AccessRefused(
            f"the key {key.name} was made for another installation", "foreign-key", known=False
        )
    if key.expired(now_ms):
        raise AccessRefused(f"the key {key.name} has expired", "expired-key", known=False)
    return key


def check_role(key: ApiKey, role: Role) -> None:
    """Raises AccessRefused."""
    if key.may(role):
        return
    has = ", ".join(sorted(key.roles))
    if key is ANONYMOUS:
        raise AccessRefused(f"this needs a key with the role {role}", "key-needed", known=False)
    raise AccessRefused(
        f"this needs the role {role}; the key {key.name} has {has}", "role-missing", known=True
    )


def check_user(key: ApiKey, user_id: str) -> None:
    """Raises AccessRefused, which does not name the user: the caller may not know of it."""
    if not key.covers(user_id):
        raise AccessRefused(
            f"the key {key.name} is bound to users {key.users}*, and this is none of them",
            "foreign-user",
            known=True,
        )


def check_unbound(key: ApiKey, what: str) -> None:
    """``what`` belongs to all users. Raises AccessRefused for a key of some."""
    if key.users:
        raise AccessRefused(
            f"the key {key.name} is bound to users {key.users}*; {what} needs one that is not",
            "bound-key",
            known=True,
        )


def checked_name(name: str) -> str:
    """The same. Raises UserError: it stands in logs and headers, so it is kept plain."""
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r}: a key's name has 1 to 64 letters, digits, dots, - and _")
    return name


def checked_roles(roles: Iterable[str], users: str) -> frozenset[Role]:
    """Raises UserError: unknown, none at all, or an admin who sees only some of the users."""
    named = [role.strip() for text in roles for role in text.split(",")]
    if strange := [role for role in named if role not in set(Role)]:
        raise UserError(f"{strange[0]!r} is no role: {', '.join(Role)}")
    found = frozenset(map(Role, named))
    if not found:
        raise UserError(f"a key needs a --role: {', '.join(Role)}")
    if users and Role.ADMIN in found:
        raise UserError("an admin key changes what all users see: it cannot be bound by --users")
    return found


def expiry_ms(lasts: str, now_ms: int) -> int | None:
    """When a key ends that ``lasts`` 12h or 30d; empty: never. Raises UserError."""
    if not lasts:
        return None
    length_ms = parse_age_ms(lasts)
    if length_ms <= 0:
        raise UserError(f"--expires {lasts}: a key that never was valid helps nobody")
    return now_ms + length_ms


def to_record(key: ApiKey) -> dict[str, Any]:
    """As it stands in the file."""
    return {
        "id": key.key_id,
        "name": key.name,
        "roles": sorted(key.roles),
        "sha256": key.digest,
        "users": key.users,
        "topics": key.scope.topics,
        "redis": key.scope.redis,
        "installation": key.scope.installation,
        "created_at_ms": key.created_at_ms,
        "expires_at_ms": key.expires_at_ms,
    }


def from_record(record: Any) -> ApiKey:
    """Raises ValueError, which says what is wrong with it; never with its digest in it."""
    if not isinstance(record, dict):
        raise ValueError("a key is an object")  # noqa: TRY004 - one kind of fault for the reader
    try:
        users, expires = _text(record, "users", ""), record.get("expires_at_ms")
        key = ApiKey(
            _text(record, "id"),
            checked_name(_text(record, "name")),
            checked_roles(record["roles"], users),
            _text(record, "sha256").lower(),
            Scope(*(_text(record, name, "") for name in ("topics", "redis", "installation"))),
            int(record.get("created_at_ms") or 0),
            users,
            None if expires is None else int(expires),
        )
    except KeyError as error:
        raise ValueError(f"it has no {error.args[0]}") from None
    except (TypeError, UserError) as error:
        raise ValueError(str(error)) from None
    if not re.fullmatch(r"[0-9a-f]{64}", key.digest):
        raise ValueError("its sha256 is not 64 hexadecimal digits")
    return key


def _text(record: dict[str, Any], name: str, usual: str | None = None) -> str:
    value = record[name] if usual is None else record.get(name, usual)
    if not isinstance(value, str):
        raise ValueError(f"its {name} is not text")  # noqa: TRY004 - as above
    return value
