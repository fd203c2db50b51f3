"""Whose key a request carries, and when none is needed.

Without a keys file a gateway bound to this host alone is open to this host for reading and
writing: to programs that call it by this host's name, not to a page of somebody else's in a browser
here, nor to whoever a proxy in front of it lets through. A keys file that appears while it runs
closes it.
"""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request

from streamrec.core.access import ANONYMOUS, ApiKey
from streamrec.errors import AccessRefused
from streamrec.infra.stores.key_file import KeyRing

log = logging.getLogger(__name__)

SCHEME = "bearer"


def is_loopback(host: str) -> bool:
    """Whether only this host reaches it."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """``GatewayContext.identify`` of a running gateway."""

    ring: KeyRing

    def __call__(self, request: Request) -> ApiKey:
        """Raises AccessRefused."""
        if self.ring.missing:
            return _of_this_host(request)
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != SCHEME or not secret.strip():
            raise AccessRefused(
                "a key is needed: the header Authorization: Bearer sr_...",
                "key-needed",
                known=False,
            )
        return self.ring.find(secret.strip())


def _of_this_host(request: Request) -> ApiKey:
    """Raises AccessRefused for a request that only looks as if it came from here."""
    origin, host = request.headers.get("origin", ""), request.headers.get("host", "")
    if not is_loopback(_name(host)) or (origin and urlsplit(origin).netloc != host):
        raise AccessRefused(
            "there are no keys, so only programs of this host may call: `streamrec keys api new`",
            "key-needed",
            known=False,
        )
    return ANONYMOUS


def _name(host: str) -> str:
    """Without the port, and without the brackets of an IPv6 address."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
