"""What a conversation was shown, so that "not that" can be told what that is.

Knows which list followed which question, by the questions' words as digests. Does not know how a
question is read (``asked``), or where lists are kept and for how long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from streamrec.core.events import Recommendation
from streamrec.tasks.ranking.lists.list_requests import ListRequest

ShownBefore = Sequence[Sequence[str]]
"""Before each turn of a conversation, the ids of the items shown."""
Kept = Mapping[str, Any]
"""``recommendation_id``; ``query``: a digest; ``items``: their ids."""

READ_CHARS = 200
"""Of a question: one that is told again may have been cut."""


@dataclass(frozen=True, slots=True)
class ShownLists:
    """``lists``: of a user's conversation, oldest first; ``add``: one more, once. Both raise
    Unavailable."""

    lists: Callable[[str, str], Sequence[Kept]] = lambda *_: ()
    add: Callable[[str, str, Kept], object] = lambda *_: None

    def before(self, request: ListRequest) -> ShownBefore:
        """Of each turn, what was shown in answer to the turn before it. A request that is answered
        again finds what it found."""
        if request.conversation_id is None or len(request.turns) < 2:
            return [() for _ in request.turns]
        kept = self.lists(request.user_id, request.conversation_id)
        others = [one for one in kept if one["recommendation_id"] != request.recommendation_id]
        shown = {one["query"]: tuple(one["items"]) for one in others}  # the last of equal ones
        return [(), *(shown.get(_digest(turn), ()) for turn in request.turns[:-1])]

    def keep(self, request: ListRequest, answer: Recommendation) -> None:
        if request.conversation_id is None or not request.turns or not answer.items:
            return
        kept = {
            "recommendation_id": answer.recommendation_id,
            "query": _digest(request.turns[-1]),
            "items": [item.item_id for item in answer.items],
        }
        self.add(request.user_id, request.conversation_id, kept)


def _digest(turn: str) -> str:
    words = " ".join(turn.split())[:READ_CHARS]
    return blake2b(words.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
