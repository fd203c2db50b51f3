"""Whether groups are served alike, from what Kafka and the catalogue keep.

Knows where lists, replies and opinions stand, and how groups are declared: of users by a file, of
items by their categories or an attribute. Does not know what is counted (``core.measures``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from streamrec.apps import clients
from streamrec.core import topics
from streamrec.core.events import Item
from streamrec.core.measures.fairness import Bounded, GroupRow
from streamrec.core.measures.reply_groups import UNDECLARED, ReplyGroups
from streamrec.errors import BadFile, Unavailable, UserError
from streamrec.infra.wire.follower import Follower
from streamrec.infra.wire.kafka_offsets import end_offsets
from streamrec.settings import Settings

READ = (topics.RECOMMENDATIONS, topics.REPLIES, topics.EVENTS)
CATEGORY = "category"
POLL_S, EMPTY_POLLS = 1.0, 20

OnProgress = Callable[[float, float, str], None]


def run(
    settings: Settings, users: Path | None, by: str, items_by: str, on_progress: OnProgress
) -> dict[str, Any]:
    """The report, JSON-able. ``by``: a field of the lines of the file ``users``; ``items_by``:
    category, or an attribute's name.

    Raises BadFile, UserError, Unavailable.
    """
    declared = read_groups(settings, users, by) if users else {}
    items = clients.catalogue_items(settings)
    groups = ReplyGroups(
        lambda user: declared.get(user, UNDECLARED), lambda item: _groups(items.get(item), items_by)
    )
    _read(settings, groups, on_progress)
    return {
        "lists": groups.lists,
        "judged": groups.judged,
        "users": {"by": by, "groups": _fields(groups.users() if users else [])},
        "items": {"by": items_by, "groups": _fields(groups.items(items))},
    }


def read_groups(settings: Settings, path: Path, by: str) -> dict[str, str]:
    """User, as the topics know them -> group. Raises BadFile."""
    if not by:
        raise UserError("--by is needed: which field of the users' file says the group")
    declared: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{path} cannot be read: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
            user, group = found["user_id"], found.get(by)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BadFile(f"{path}:{number}: an object with a user_id is needed") from None
        if group is not None:
            declared[clients.known_as(settings, str(user))] = str(group)
    if not declared:
        raise BadFile(f"{path}: no line has a {by!r}")
    return declared


def _groups(item: Item | None, by: str) -> Iterable[str]:
    if item is None:
        return ()
    if by == CATEGORY:
        return item.categories
    return (item.attributes[by],) if by in item.attributes else ()


def _read(settings: Settings, groups: ReplyGroups, on_progress: OnProgress) -> None:
    """Everything that is on the topics now."""
    ends = {key: end for key, end in end_offsets(settings.kafka, READ).items() if end}
    total, idle = sum(ends.values()), 0
    codec = clients.codec(settings)
    with Follower(settings.kafka, codec, READ, "streamrec-report", from_start=True) as log:
        while behind := _behind(log.places(), ends):
            seen = log.poll(POLL_S)
            idle = 0 if seen else idle + 1
            if idle >= EMPTY_POLLS:
                raise Unavailable(f"{behind:,} messages of the logs do not come")
            for message in seen:
                groups.take(message.value)
            on_progress(total - behind, total, "reading the logs")


def _behind(places: Mapping[tuple[str, int], int], ends: Mapping[tuple[str, int], int]) -> int:
    return sum(max(0, end - places.get(place, 0)) for place, end in ends.items())


def _fields(rows: Iterable[GroupRow]) -> list[dict[str, Any]]:
    return [
        {
            **asdict(row),
            "acceptance": _bounded(row.acceptance),
            "difference": _bounded(row.difference),
        }
        for row in rows
    ]


def _bounded(found: Bounded | None) -> dict[str, float] | None:
    return None if found is None else found._asdict()
