"""A message that brings out a fault of ours is sent to the dead letters; the others are answered.

Knows how a micro-batch is halved until the message is found. Does not know what an answer is
(``loop.serving.serve``). This is a serving worker's one boundary that catches everything: without
it, the message would end the worker, come again, and end the next.

A fault may also be the model's, or the store's; then every message fails and none is poison.
A message counts as a poison message only if

- the model ranks a user who has never been seen, and
- some other message of the micro-batch was answered, or it came alone and no more than
  ``MAX_IN_A_ROW`` went to the dead letters since the last answer.

Where the model cannot rank anybody the fault is the generation's (``GenerationFailed``). Otherwise
it stays what it was: it ends the worker, and nothing is lost.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from streamrec.errors import GenerationFailed, HandlingFailed, StreamrecError
from streamrec.loop.serving.serve import Served, Server
from streamrec.loop.serving.traffic_split import OnTrial
from streamrec.ports import Delivered, ServingModel

log = logging.getLogger(__name__)

MAX_IN_A_ROW = 3

Failed = list[tuple[Delivered, Exception]]


class PoisonMessageIsolation:
    """Serves micro-batches, one at a time; remembers how many poison messages came in a row."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._in_a_row = 0

    def serve(
        self, batch: Sequence[Delivered], model: ServingModel, canary: OnTrial | None
    ) -> Served:
        """As ``Server.serve``.

        Raises GenerationFailed, or what nobody foresaw when no one message is poison.
        """
        try:
            served = self._server.serve(batch, model, canary)
        except StreamrecError:
            raise
        except Exception as error:
            if not self._server.sound(model):
                raise GenerationFailed(model.generation, error) from error
            log.exception("answering %d messages failed; looking for the one", len(batch))
            return self._halve(batch, model, canary, error)
        if served.answers or served.skipped:
            self._in_a_row = 0
        return served

    def _halve(
        self,
        batch: Sequence[Delivered],
        model: ServingModel,
        canary: OnTrial | None,
        error: Exception,
    ) -> Served:
        failed: Failed = []
        served = self._serve_halves(batch, model, canary, error, failed)
        answered = served.answers or served.skipped
        if answered:
            self._in_a_row = 0
        self._in_a_row += len(failed)
        if not answered and (len(failed) > 1 or self._in_a_row > MAX_IN_A_ROW):
            raise error
        self._server.to_dead_letters(
            [
                (message, HandlingFailed(f"answering it failed: {type(why).__name__}: {why}"))
                for message, why in failed
            ]
        )
        return replace(served, dead_letters=served.dead_letters + len(failed))

    def _serve_halves(
        self,
        batch: Sequence[Delivered],
        model: ServingModel,
        canary: OnTrial | None,
        error: Exception,
        failed: Failed,
    ) -> Served:
        """Serve both halves, down to single messages; those that fail are added to ``failed``."""
        if len(batch) == 1:
            failed.append((batch[0], error))
            return Served()
        middle, found = len(batch) // 2, Served()
        for part in (batch[:middle], batch[middle:]):
            try:
                served = self._server.serve(part, model, canary)
            except StreamrecError:
                raise
            except Exception as why:  # the boundary: see the module
                served = self._serve_halves(part, model, canary, why, failed)
            found = _both(found, served)
        return found


def _both(one: Served, other: Served) -> Served:
    return Served(
        (*one.answers, *other.answers),
        one.coalesced + other.coalesced,
        one.dead_letters + other.dead_letters,
        one.skipped + other.skipped,
        Counter(one.empty) + Counter(other.empty),
        Counter(one.faults) + Counter(other.faults),
        Counter(one.unmet) + Counter(other.unmet),
        Counter(one.fallbacks) + Counter(other.fallbacks),
    )
