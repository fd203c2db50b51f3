"""API keys in a file: read again when it changes, written whole or not at all.

The file may be a mounted secret, which an orchestrator replaces and nobody here can write::

    {"version": 1, "keys": [{"id": "k1a2b3c4d", "name": "shop", "roles": ["read"], "sha256": ...}]}

A change, in this order: lock a file beside it; read; write the new content aside, only its owner
may read it; force it to disk; rename. Does not know what a key may do (``core.access``).
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streamrec.core import access
from streamrec.core.access import SECRET_PREFIX, ApiKey, Scope
from streamrec.errors import UserError
from streamrec.infra.stores.durable import sync
from streamrec.ports import Clock

log = logging.getLogger(__name__)

VERSION = 1
CHECK_S = 1.0
"""A change of the file counts after this long at most."""


def new_secret() -> str:
    """256 random bits, as text that fits into a header."""
    return SECRET_PREFIX + secrets.token_urlsafe(32)


def new_key_id() -> str:
    return f"k{secrets.token_hex(4)}"


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Raises UserError: not there, not readable, not what it should be, or anybody may write it."""
    try:
        if path.stat().st_mode & stat.S_IWOTH:
            raise UserError(f"{path}: everybody may write it, so everybody may be admin: chmod 600")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"the keys file {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"the keys file {path} is not JSON: {error}") from None
    return _parsed(path, content)


def _parsed(path: Path, content: object) -> tuple[ApiKey, ...]:
    if not isinstance(content, dict) or not isinstance(content.get("keys"), list):
        raise UserError(f"the keys file {path} has no list of keys: `streamrec keys api new`")
    if content.get("version") != VERSION:
        raise UserError(
            f"the keys file {path} is of version {content.get('version')}; this streamrec knows "
            f"{VERSION}"
        )
    found = []
    for place, record in enumerate(content["keys"]):
        try:
            found.append(access.from_record(record))
        except ValueError as error:
            raise UserError(f"the keys file {path}: key {place + 1}: {error}") from None
    return tuple(found)


@contextmanager
def changed_keys(path: Path) -> Iterator[list[ApiKey]]:
    """The keys as they are, to be changed in place; written when the block ends without an error.

    Raises UserError: the file cannot be read or written; then nothing has changed.
    """
    beside = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(beside, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _read_only(path, error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        keys = list(read_keys(path)) if path.exists() else []
        yield keys
        _write(path, keys)
    finally:
        os.close(lock)


def _write(path: Path, keys: Sequence[ApiKey]) -> None:
    content = {"version": VERSION, "keys": [access.to_record(key) for key in keys]}
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.unlink(missing_ok=True)
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(json.dumps(content, indent=2) + "\n")
        sync(aside)
        aside.replace(path)
        sync(path.parent)
    except OSError as error:
        raise _read_only(path, error) from None


def _read_only(path: Path, error: OSError) -> UserError:
    return UserError(
        f"the keys file {path} cannot be written: {error.strerror}. Where it is a mounted secret, "
        f"copy it, change the copy (--file COPY), and put the copy in the secret's place; the "
        "gateway reads it without a restart"
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """How the file looked: another look is another content."""

    device: int
    inode: int
    size: int
    changed_ns: int


class KeyRing:
    """The keys of a running gateway: those of the file's last good content.

    ``missing``: there is no file, and never was one. ``problem``: why the file as it is now is not
    used, else empty. ``counted`` is told of each change: ``read`` or ``broken``. Safe for threads:
    what is found is replaced whole.
    """

    def __init__(
        self,
        path: Path,
        scope: Scope,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        must_exist: bool = True,
    ) -> None:
        """``scope``: of which the keys must be. Raises UserError: the file cannot be used."""
        self.path, self.scope, self._clock = path, scope, clock
        self._monotonic = monotonic
        self._seen = _look(path)
        absent = self._seen is None and not must_exist
        self._keys = None if absent else read_keys(path)
        self._checked_s = monotonic()
        self.problem = ""
        self.counted: Callable[[str], object] = lambda _outcome: None
        self._used: dict[str, int] = {}

    @property
    def missing(self) -> bool:
        self._refresh()
        return self._keys is None

    def find(self, secret: str) -> ApiKey:
        """Raises AccessRefused: no key has it, or not any more."""
        self._refresh()
        now_ms = self._clock.now_ms()
        found = access.recognised(self._keys or (), secret, self.scope, now_ms)
        self._used[found.key_id] = now_ms
        return found

    def used(self) -> dict[str, int]:
        """When each key was used last, by its id; of those used since this was last asked."""
        used, self._used = self._used, {}
        return used

    def __len__(self) -> int:
        self._refresh()
        return len(self._keys or ())

    def _refresh(self) -> None:
        now_s = self._monotonic()
        if now_s - self._checked_s < CHECK_S:
            return
        self._checked_s = now_s
        seen = _look(self.path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._keys = read_keys(self.path)
        except UserError as error:
            self._keys = self._keys or ()  # somebody means to close it
            self.problem = str(error)
            self.counted("broken")
            log.error("%s; what was read before stays valid, keys: %d", error, len(self._keys))  # noqa: TRY400
        else:
            self.problem = ""
            self.counted("read")
            log.warning("%s has changed; keys in it now: %d", self.path, len(self._keys))


def _look(path: Path) -> _Seen | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _Seen(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
