"""Waiting for a schema registry, for so long and no longer, and without holding up anybody else.

Knows how often a schema id is asked for and when it is given up. Does not know how a registry is
asked (``infra.wire.schema_registry``).

The registry is asked in a thread aside; who needs the schema looks a moment, then is told
Unavailable and asks again later, while others go on. An id that the registry does not give for
``GIVE_UP_S`` (403, 500, no answer) is refused, so its messages become dead letters that can be sent
again; from time to time it is asked for once more. A registry where nobody listens refuses
nothing: that is waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from socket import gaierror
from typing import Generic, TypeVar
from urllib.error import URLError

from streamrec.errors import Refused, SchemaUnavailable, Unavailable

LOOK_S = 0.25
"""A registry that is well answers within this."""

GIVE_UP_S = 30.0
PAUSES_S = (1.0, 2.0, 4.0, 8.0)
"""Between tries; the last one again and again."""

ASK_AGAIN_S = 60.0
"""For an id that was given up."""

LEAST_TRIES = 3

Schema = TypeVar("Schema")


@dataclass(slots=True)
class _Search(Generic[Schema]):
    """One schema id, as long as it is not found."""

    began_s: float
    due_s: float  # the next try, no sooner
    tries: int = 0
    answer: Future[Schema] | None = None  # of the try that is on its way
    refused: Refused | None = None
    said: str = "it has not answered yet"


@dataclass(slots=True)
class SchemaWait(Generic[Schema]):
    """Schemas by id, in one thread; ``fetch`` may take its time and is called in others."""

    fetch: Callable[[int], Schema]
    timer: Callable[[], float] = time.monotonic
    look_s: float = LOOK_S
    _searches: dict[int, _Search[Schema]] = field(default_factory=dict)

    def schema(self, schema_id: int) -> Schema:
        """What ``fetch`` gave.

        Raises what it raised of Refused, SchemaUnavailable once it is given up, and Unavailable
        while there is hope.
        """
        now_s = self.timer()
        search = self._searches.setdefault(schema_id, _Search(now_s, now_s))
        if search.answer is None and now_s >= search.due_s:
            search.tries += 1
            search.answer = self._asked(schema_id)
            if search.refused is None:
                _wait(search.answer, self.look_s)
        if search.answer is not None and search.answer.done():
            answer, search.answer = search.answer, None
            return self._taken(schema_id, search, answer)
        if search.refused is None and now_s - search.began_s >= GIVE_UP_S and search.answer:
            search.refused = self._given_up(schema_id, search)
        raise search.refused or _not_yet(schema_id, search)

    def _asked(self, schema_id: int) -> Future[Schema]:
        answer: Future[Schema] = Future()

        def ask() -> None:
            try:
                answer.set_result(self.fetch(schema_id))
            except BaseException as error:  # whoever waits for it raises it
                answer.set_exception(error)

        threading.Thread(target=ask, name=f"schema-{schema_id}", daemon=True).start()
        return answer

    def _taken(self, schema_id: int, search: _Search[Schema], answer: Future[Schema]) -> Schema:
        try:
            found = answer.result()
        except Refused:
            del self._searches[schema_id]  # it may be registered later
            raise
        except Exception as error:  # of whatever library asks: it has not been given
            self._failed(schema_id, search, error)
            raise search.refused or _not_yet(schema_id, search) from error
        del self._searches[schema_id]
        return found

    def _failed(self, schema_id: int, search: _Search[Schema], error: Exception) -> None:
        now_s, search.said = self.timer(), str(error) or repr(error)
        pause_s = PAUSES_S[min(search.tries, len(PAUSES_S)) - 1]
        patient = now_s - search.began_s < GIVE_UP_S or search.tries < LEAST_TRIES
        if search.refused is None and (patient or _nobody_there(error)):
            search.due_s = now_s + pause_s
        else:
            search.due_s = now_s + ASK_AGAIN_S
            search.refused = self._given_up(schema_id, search)

    def _given_up(self, schema_id: int, search: _Search[Schema]) -> Refused:
        return SchemaUnavailable(
            f"schema id {schema_id}: {search.said}; given up after {search.tries} tries in "
            f"{self.timer() - search.began_s:.0f} s"
        )


def _not_yet(schema_id: int, search: _Search[Schema]) -> Unavailable:
    return Unavailable(f"schema id {schema_id}: {search.said} (try {search.tries})")


def _wait(answer: Future[Schema], seconds: float) -> None:
    done = threading.Event()
    answer.add_done_callback(lambda _: done.set())
    done.wait(seconds)


def _nobody_there(error: Exception) -> bool:
    """No connection at all: that is not about one id."""
    cause = error.__cause__
    reason = cause.reason if isinstance(cause, URLError) else cause
    return isinstance(reason, ConnectionRefusedError | gaierror)
