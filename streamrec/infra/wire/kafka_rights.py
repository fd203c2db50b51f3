"""What Kafka does not allow us, in a sentence that names who, what and where to look.

A broker hides a topic from whoever may not describe it: to them it is not there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from kafka.errors import (
    AuthorizationError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    GroupIdNotFoundError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from streamrec.errors import NotAllowed

_ON = {
    TopicAuthorizationFailedError: "topic",
    GroupAuthorizationFailedError: "consumer group",
    ClusterAuthorizationFailedError: "cluster",
}
_LONG = 200
NOT_THERE = (UnknownTopicOrPartitionError.errno,)
HIDDEN = (TopicAuthorizationFailedError.errno,)


def is_refusal(error: KafkaError) -> bool:
    """kafka-python wraps what a producer is told first of all in an error without a type."""
    return isinstance(error, AuthorizationError) or "AuthorizationFailedError" in str(error)


def refusal(user: str, doing: str, error: KafkaError) -> NotAllowed:
    """What to raise instead of ``error``. ``user``: empty for one without a name."""
    if not isinstance(error, AuthorizationError):
        return not_allowed(user, f"{doing}: it may write to no topic")
    what = _ON.get(type(error), "resource")
    return not_allowed(user, f"{doing} ({what} {named})" if (named := _names(error)) else doing)


def not_allowed(user: str, doing: str) -> NotAllowed:
    who = repr(user) if user else "us"
    return NotAllowed(
        f"Kafka does not allow {who} this: {doing}. docs/operating.md, Rights in Kafka, has what "
        "each role needs"
    )


def check_visible(admin: Any, user: str, names: Sequence[str]) -> None:
    """Raises NotAllowed when one of these topics (full names) is hidden from us."""
    found = rights(admin, names)
    hidden = sorted(name for name, allowed in found.items() if allowed == frozenset())
    if hidden:
        raise not_allowed(user, f"describing {', '.join(hidden)}")


def rights(admin: Any, names: Sequence[str]) -> dict[str, Collection[str] | None]:
    """The operations allowed on each topic that is there, as Kafka names them.

    None of them on one that is hidden from us, which need not be there; None instead of a set
    where the broker does not say.
    """
    found: dict[str, Collection[str] | None] = {}
    for topic in admin.describe_topics(list(names)) if names else ():
        if topic["error_code"] in HIDDEN:
            found[topic["name"]] = frozenset()
        elif topic["error_code"] not in NOT_THERE:
            allowed = topic.get("authorized_operations")
            found[topic["name"]] = None if allowed is None else frozenset(allowed)
    return found


def without(needed: Collection[str], allowed: Collection[str] | None) -> set[str]:
    """``needed`` that are not ``allowed``; None: nobody has said that something is not."""
    return set() if allowed is None else set(needed) - set(allowed)


def may_join(admin: Any, group: str) -> bool:
    """Whether we may consume as a member of this group."""
    try:
        described = admin.describe_groups([group]).get(group, {})
    except AuthorizationError:
        return False
    except GroupIdNotFoundError:  # nobody has joined it yet, and then the broker does not say
        return True
    return not without({"READ"}, described.get("authorized_operations"))


def _names(error: AuthorizationError) -> str:
    """What the error is about; a whole answer of the protocol is not for people."""
    told = error.args[0] if error.args else ""
    text = ", ".join(sorted(told)) if isinstance(told, set | frozenset) else str(told)
    return text if len(text) <= _LONG else ""
