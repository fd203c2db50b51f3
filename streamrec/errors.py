"""Every error streamrec raises on purpose.

    StreamrecError
    ├── SettingsError            a setting is unknown or impossible; lists every problem
    ├── UserError                the command line asked for something that cannot be done
    │   ├── BadFile              a file it names holds a line that cannot be used; names it
    │   ├── NotThere             what it names is not there
    │   └── NotAllowed           a server knows us and does not grant it; names the right
    ├── Refused                  one input is bad for good: it goes to the dead-letter topic
    │   ├── Malformed            the bytes are not what they claim to be
    │   ├── UnknownSchema        a fingerprint, schema id or framing nobody registered
    │   ├── SchemaUnavailable    a schema id that the registry has not given for long
    │   ├── InvalidField         decoded, but a field is missing or absurd
    │   │   ├── RefusedRequest   of a request that says who it is: it is answered, too
    │   │   └── ImpossibleTime   its time cannot be right; says whose clock it may be
    │   ├── TooLate              an event so old that it cannot be told from a repetition
    │   ├── TooLarge             more bytes than a message may have
    │   └── HandlingFailed       readable, but handling it raised what nobody foresaw
    ├── Unavailable              a dependency did not answer; carries retry_after_s
    │   └── Repartitioned        an event lies where more partitions put it than state knows
    ├── PositionConflict         somebody else moved a source's position; carries the actual one
    ├── RegistryConflict         the control log moved on; carries the revision found
    ├── LeaseLost                another process has taken this one's turn
    ├── BrokersReplaced          no broker is where it was; this process must start anew
    ├── GroupBroken              a process that learns along has died
    ├── GenerationRefused        a generation directory failed a check; nothing was changed
    ├── GenerationFailed         a generation that passed every check cannot rank; names it
    ├── ReplyRefused             what a model wrote may not be said; carries a code for counting
    ├── AccessRefused            a caller of the gateway is not known, or may not do this
    ├── CallRefused              of the client: a gateway said no; carries its problem document
    │   └── LinesRefused         some events or items were refused; carries every verdict
    ├── GatewayUnreachable       of the client: nobody answered, or no gateway
    └── EncoderUnavailable       the language model's weights cannot be found

Permanent errors (``Refused`` and below) are kept with their reason; transient ones
(``Unavailable``, ``PositionConflict``) are retried by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class StreamrecError(Exception):
    """The root: catch this to catch everything streamrec raises on purpose."""


class SettingsError(StreamrecError):
    """One or more settings are unknown or impossible."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class UserError(StreamrecError):
    """A command cannot be carried out; the message says what to do instead."""


class BadFile(UserError):
    """A file named on the command line is not what it should be; the message names the line."""


class NotThere(UserError):
    """What a command names is not there; the message says who knows what is."""


class NotAllowed(UserError):
    """A server knows who we are and does not let us; only its administrator can change that."""


class Refused(StreamrecError):
    """An input that no retry will make good.

    ``code`` is a short stable name for counting; the message is for people.
    """

    code = "refused"


class Malformed(Refused):
    code = "malformed"


class UnknownSchema(Refused):
    code = "unknown-schema"


class SchemaUnavailable(Refused):
    """Nothing is wrong with the message: send it again when the registry gives the schema."""

    code = "schema-unavailable"


class InvalidField(Refused):
    """``field``: its name, where one is to blame."""

    code = "invalid-field"

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class ImpossibleTime(InvalidField):
    code = "impossible-time"


class TooLate(Refused):
    code = "too-late"


class RefusedRequest(InvalidField):
    """``user_id`` is empty where the request names none."""

    def __init__(self, message: str, request_id: str, user_id: str) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.user_id = user_id


class TooLarge(Refused):
    code = "too-large"


class HandlingFailed(Refused):
    """A fault of ours that one message brings out: kept apart so that the others go on."""

    code = "failed"


class Unavailable(StreamrecError):
    """A dependency did not answer. Try again in ``retry_after_s`` seconds."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Repartitioned(Unavailable):
    """An event lies where a larger number of partitions puts it; state is laid out for fewer."""


class PositionConflict(StreamrecError):
    """A commit expected one position of a source and found another."""

    def __init__(self, source: str, expected: int, actual: int) -> None:
        why = "another writer" if actual > expected else "the store has lost its last moments"
        super().__init__(f"{source}: expected position {expected}, found {actual} ({why})")
        self.source = source
        self.expected = expected
        self.actual = actual


class RegistryConflict(StreamrecError):
    """Somebody else changed the registry first. Look again, then decide again.

    ``first``: who that was, and what they did.
    """

    def __init__(self, expected: int, actual: int, first: str = "") -> None:
        told = f"; first was: {first}. Look again, then decide again" if first else ""
        super().__init__(f"the registry is at revision {actual}, not {expected}{told}")
        self.expected = expected
        self.actual = actual


class LeaseLost(StreamrecError):
    """Somebody else holds what this process held; it must stop and start again."""


class BrokersReplaced(StreamrecError):
    """No broker of the cluster is where this process has found it; it must start again."""


class GroupBroken(StreamrecError):
    """A process that learns along has died; all of them must start anew."""


class GenerationRefused(StreamrecError):
    """A generation failed a check before anything was changed."""


class GenerationFailed(StreamrecError):
    """A generation passed every check and raises when it ranks, whoever is asking."""

    def __init__(self, generation: str, error: Exception) -> None:
        super().__init__(f"{generation} cannot rank: {type(error).__name__}: {error}")
        self.generation = generation


class ReplyRefused(StreamrecError):
    """``code`` is a short stable name, one of ``core.replies.refusals``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class AccessRefused(StreamrecError):
    """``code`` is a short stable name; ``known``: we know who calls, and they may not."""

    def __init__(self, message: str, code: str, *, known: bool) -> None:
        super().__init__(message)
        self.code = code
        self.known = known


class CallRefused(StreamrecError):
    """A gateway, or a proxy before it, refused a call.

    ``problem``: its whole document (RFC 9457); ``title``, ``detail`` and ``code`` are of it.
    ``unsent``: of many events or items, those that no answer has come for, ids included: what is
    sent again as it stands here counts once.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], request_id: str = "") -> None:
        self.status = status
        self.problem = problem
        self.request_id = request_id
        self.code = str(problem.get("code") or "")
        self.title = str(problem.get("title") or "")
        self.detail = str(problem.get("detail") or "")
        self.unsent: Sequence[Mapping[str, Any]] = ()
        super().__init__(f"{status} {self.code or self.title}: {self.detail}")


class LinesRefused(CallRefused):
    """``outcome``: a verdict for each; what it says is accepted is accepted."""

    def __init__(self, outcome: Any, message: str) -> None:
        super().__init__(422, {"title": "Refused", "code": "lines-refused", "detail": message})
        self.outcome = outcome


class GatewayUnreachable(StreamrecError):
    """Nobody answered. ``unsent``: as of ``CallRefused``."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.unsent: Sequence[Mapping[str, Any]] = ()


class EncoderUnavailable(StreamrecError):
    """The encoder's weights are neither at the path, in the hub, nor in a package."""
