"""A reply in the making: what is asked, planned, written and said, and why a template speaks.

Knows what of it is published, and what is noted for learning. Does not know in which order it comes
about (``answerer``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from streamrec.core.events import Recommendation, ReplyMessage
from streamrec.core.replies.brief import Brief
from streamrec.core.replies.plan_bandit import ChosenPlan
from streamrec.core.replies.rendering import Rendered
from streamrec.ports import Asked
from streamrec.ports.generating import Wanted, Written
from streamrec.tasks.replies.made import FINAL, reply_id_of

NO_MODEL, LATE, AWAY, NOTHING_LISTED, HELD = "no-model", "late", "away", "nothing-listed", "held"
"""Why a template speaks; else the code of a refusal (``core.replies.refusals``)."""
OURS = frozenset({NO_MODEL, LATE, AWAY, NOTHING_LISTED, HELD})


@dataclass(frozen=True, slots=True)
class ReplyRequest(Asked):
    """One reply that has to be made."""

    about: Recommendation


@dataclass(slots=True)
class Draft:
    """A reply in the making."""

    asked: ReplyRequest
    brief: Brief
    chosen: ChosenPlan
    context: list[float]
    seed: int
    wanted: Wanted | None = None
    said: Rendered | None = None
    written: Written | None = None
    fallback: str | None = None
    held: Rendered | None = None
    why_held: str = ""
    heard: str = ""  # of what is being written
    parts: int = 0
    over: bool = False  # nobody waits for it any more

    @property
    def about(self) -> Recommendation:
        return self.asked.about

    @property
    def speaks(self) -> bool:
        return self.fallback is None and self.said is None


def message_of(
    draft: Draft,
    said: Rendered,
    generation: str | None,
    why: str | None,
    *,
    now_ms: int,
    worker_id: str,
) -> ReplyMessage:
    """``why``: a template speaks."""
    about, plan = draft.about, draft.brief.plan
    return ReplyMessage(
        reply_id=reply_id_of(about),
        user_id=about.user_id,
        recommendation_id=about.recommendation_id,
        trigger_id=about.trigger_id,
        conversation_id=about.conversation_id,
        sequence=FINAL,
        final=True,
        text=said.text,
        items=said.items,
        history_items=said.from_history,
        triggered_at_ms=about.triggered_at_ms,
        written_at_ms=now_ms,
        worker_id=worker_id,
        generation=generation,
        fallback=why,
        plan=plan.phrase,
        understood=about.understood,
    )


def fall_back(drafts: Sequence[Draft], why: str) -> None:
    for draft in drafts:
        draft.fallback = why


def log_of(draft: Draft, said: Rendered, generation: str) -> str:
    """What an example of it is made from (``example_maker``)."""
    asked, written = draft.wanted, draft.written
    noted: dict[str, Any] = {
        "items": list(said.items),
        "generation": generation,
        "plan": draft.chosen.index,
        "plan_propensity": draft.chosen.propensity,
        "context": draft.context,
    }
    if not generation or asked is None or written is None:
        return _json(noted)
    if written.log_probability is None or not written.token_ids:
        noted["generation"] = ""  # a server that says no tokens: the plan alone is learned from
    else:
        grammar = asked.grammar
        noted |= {
            "prompt_ids": list(written.prompt_ids),
            "token_ids": list(written.token_ids),
            "log_probability": written.log_probability,
            "temperature": asked.temperature,
            "slots": list(grammar.slots),
            "max_tokens": grammar.max_tokens,
            "least": grammar.least,
            "most": grammar.most,
        }
    return _json(noted)


def _json(noted: dict[str, Any]) -> str:
    return json.dumps(noted, separators=(",", ":"))


def seed_of(about: Recommendation) -> int:
    """The same for a reply that is made again."""
    return int.from_bytes(blake2b(reply_id_of(about).encode(), digest_size=4).digest())
