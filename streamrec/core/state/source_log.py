"""Which log of the broker a source's state belongs to, and where the two part.

Offsets of state (positions, examples, lineage) only ever grow. Those of a log begin anew when its
topic is deleted and made again: ``base`` lies between the two, ``offset in state = offset in log +
base``. Knows no broker and no store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple


class Log(NamedTuple):
    """What a broker says of a partition. ``topic_id``: empty where it names none."""

    first: int
    end: int
    topic_id: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """Offsets of state ``[start, end)`` that were given up (none where only the topic changed)."""

    start: int
    end: int
    at_ms: int
    by: str
    why: str

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Passage:
        return cls(**record)

    def to_record(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("start", "end", "at_ms", "by", "why")}


@dataclass(frozen=True, slots=True)
class SourceLog:
    """See the module. ``topic_id``: empty before the first takeover."""

    topic_id: str = ""
    base: int = 0
    passages: tuple[Passage, ...] = ()

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> SourceLog:
        passages = tuple(map(Passage.from_record, record["passages"]))
        return cls(record["topic_id"], record["base"], passages)

    def to_record(self) -> dict[str, Any]:
        passages = [passage.to_record() for passage in self.passages]
        return {"topic_id": self.topic_id, "base": self.base, "passages": passages}

    def with_passage(self, passage: Passage) -> SourceLog:
        """One from the same place takes the place of the other: it was begun and not finished."""
        kept = tuple(p for p in self.passages if p.start != passage.start)
        return replace(self, passages=(*kept, passage))


@dataclass(frozen=True, slots=True)
class Continuation:
    """How to go on where state and log do not fit. ``why``: what was found."""

    why: str
    position: int  # of state, to go on from
    log: SourceLog  # to keep first; its passages are those so far


def parting(position: int, kept: SourceLog, found: Log) -> Continuation | None:
    """Where state at ``position`` and the log part; None when the one continues the other.

    Of a source never read before, nothing can be missing.
    """
    at = position - kept.base
    if position == 0 and not kept.topic_id:
        return None
    if kept.topic_id and found.topic_id and kept.topic_id != found.topic_id:
        why = "the topic was deleted and made again (another topic id): its offsets begin anew"
        anew = replace(begun_anew(position, found), passages=kept.passages)
        return Continuation(why, position, anew)
    if at > found.end:
        why = (
            f"the log ends at {found.end}, the state stands at {at}: the log was restored from "
            "earlier, or lost its end"
        )
        return Continuation(why, position, replace(kept, base=position - found.end))
    if at < found.first:
        missing = found.first - at
        why = f"the log begins at {found.first}, the state stands at {at}: {missing:,} are gone"
        return Continuation(f"{why} (retention)", found.first + kept.base, kept)
    return None


def begun_anew(position: int, found: Log) -> SourceLog:
    """The log of a topic made again, read from where it begins."""
    return SourceLog(found.topic_id, position - found.first)


def same_offsets(kept: SourceLog, found: Log) -> SourceLog:
    """The log of a topic that holds the same records at the same offsets, as a backup does."""
    return replace(kept, topic_id=found.topic_id)
