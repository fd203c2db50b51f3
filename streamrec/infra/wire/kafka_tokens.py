"""OAUTHBEARER: tokens of a token endpoint, or of a callable of the operator's, kept while valid.

Knows how a token is got, when it is renewed, and how our two Kafka clients ask for one. Does not
know which settings go together (``infra.wire.kafka_security``).

A token is renewed when four fifths of its time are over. While the endpoint is away the old one is
used until it expires; without one, clients try again, and say why (``NoToken``).
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from threading import Lock
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from aiokafka.abc import AbstractTokenProvider as AiokafkaProvider
from kafka.net.sasl.oauth import AbstractTokenProvider as KafkaPythonProvider

from streamrec.errors import UserError
from streamrec.infra.clock import SystemClock
from streamrec.ports import Clock
from streamrec.settings import KafkaSettings

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0
RENEW_AT = 0.8
"""Of a token's time."""

PAUSE_MS = 1_000
"""After a failure nobody asks again for so long, however many clients want a token."""


class NoToken(ConnectionError):
    """Both clients try again after it, as after any connection that fails."""


class Token(NamedTuple):
    text: str
    expires_ms: float  # since 1970; 0: unknown, so it is asked for each time


class TokenKeeper:
    """One token for all clients of a process, in any of their threads."""

    def __init__(self, fetch: Callable[[], Token], clock: Clock | None = None) -> None:
        self._fetch = fetch
        self._clock = clock or SystemClock()
        self._lock = Lock()
        self._token = Token("", 0)
        self._renew_ms = 0.0
        self._failed: tuple[NoToken, int] | None = None  # and when

    def token(self) -> str:
        """A valid token. Raises NoToken."""
        with self._lock:
            now_ms = self._clock.now_ms()
            if now_ms >= self._renew_ms:
                self._renew(now_ms)
            return self._token.text

    def _renew(self, now_ms: int) -> None:
        try:
            self._token = self._asked(now_ms)
        except NoToken as error:
            if now_ms >= self._token.expires_ms:
                raise
            self._renew_ms = now_ms + PAUSE_MS
            log.warning("the token is not renewed yet: %s", error)
        else:
            left_ms = max(0.0, self._token.expires_ms - now_ms)
            self._renew_ms = now_ms + RENEW_AT * left_ms

    def _asked(self, now_ms: int) -> Token:
        if self._failed is not None and now_ms - self._failed[1] < PAUSE_MS:
            raise self._failed[0]
        try:
            token = self._fetch()
        except NoToken as error:
            self._failed = error, now_ms
            raise
        self._failed = None
        return token


@cache
def keeper(settings: KafkaSettings) -> TokenKeeper:
    """The one of these settings. Raises UserError."""
    if settings.sasl_oauth_provider:
        return TokenKeeper(_from_provider(settings.sasl_oauth_provider))
    return TokenKeeper(lambda: _from_endpoint(settings))


def extensions(settings: KafkaSettings) -> dict[str, str]:
    """SASL extensions (Confluent Cloud: logicalCluster, identityPoolId). Raises UserError."""
    pairs = [pair.partition("=") for pair in settings.sasl_oauth_extensions.split(",") if pair]
    if any(not (name.strip() and value.strip()) for name, _, value in pairs):
        raise UserError("STREAMREC_KAFKA_SASL_OAUTH_EXTENSIONS is not name=value[,name=value]")
    return {name.strip(): value.strip() for name, _, value in pairs}


class KafkaPythonTokens(KafkaPythonProvider):  # type: ignore[misc] # kafka-python is untyped
    """For kafka-python, which asks in its own thread."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._keeper, self._extensions = keeper(settings), extensions(settings)

    def token(self) -> str:
        return self._keeper.token()

    def extensions(self) -> dict[str, str]:
        return self._extensions


class AiokafkaTokens(AiokafkaProvider):  # type: ignore[misc] # aiokafka is untyped
    """For aiokafka, whose event loop does not wait for it."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._keeper, self._extensions = keeper(settings), extensions(settings)

    async def token(self) -> str:
        return await asyncio.to_thread(self._keeper.token)

    def extensions(self) -> dict[str, str]:
        return self._extensions


def _from_endpoint(settings: KafkaSettings) -> Token:
    """OAuth 2 client credentials (RFC 6749, 4.4). Raises NoToken."""
    url = settings.sasl_oauth_token_url
    form = {"grant_type": "client_credentials"}
    if settings.sasl_oauth_scope:
        form["scope"] = settings.sasl_oauth_scope
    secret = f"{settings.sasl_username}:{settings.sasl_password}".encode()
    headers = {"Authorization": f"Basic {base64.b64encode(secret).decode()}"}
    request = Request(url, urlencode(form).encode(), headers)  # noqa: S310 - the operator's own
    try:
        with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            found = json.load(answer)
    except HTTPError as error:
        with error:
            said = error.read(200).decode(errors="replace")
        raise NoToken(f"the token endpoint {url} answers {error.code}: {said}") from None
    except Exception as error:  # whatever a proxy or a half-written answer makes of it
        raise NoToken(f"no token from {url}: {error}") from error
    return _token_in(found, url)


def _token_in(found: Any, url: str) -> Token:
    if not isinstance(found, Mapping) or not isinstance(found.get("access_token"), str):
        raise NoToken(f"the token endpoint {url} gives no access_token")
    lasts_s = found.get("expires_in")
    lasts_s = lasts_s if isinstance(lasts_s, int | float) else 0
    expires_ms = SystemClock().now_ms() + lasts_s * 1000 if lasts_s else 0
    return Token(found["access_token"], expires_ms)


def _from_provider(name: str) -> Callable[[], Token]:
    """``module:callable``, giving a token, or a token and when it expires (ms since 1970)."""
    module, _, attribute = name.partition(":")
    try:
        provide = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"STREAMREC_KAFKA_SASL_OAUTH_PROVIDER is {name}; it must be module:callable ({error})"
        ) from error

    def fetch() -> Token:
        try:
            found = provide()
        except Exception as error:  # whatever a cloud's library raises
            raise NoToken(f"{name} gives no token: {error!r}") from error
        text, expires_ms = found if isinstance(found, tuple) else (found, 0)
        return Token(str(text), float(expires_ms))

    return fetch
