"""Examples of replies for tests: written by a tiny model, received as the test wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from streamrec.core.replies.context import CONTEXT
from streamrec.models.causal import CausalModel, Reply
from streamrec.ports.generating import Grammar
from streamrec.tasks.replies.examples import ReplyExample

SAID = ("You might like [[1]].", "What about [[2]]?", "[[1]] or [[2]]", "Something funny, [[2]].")
GRAMMAR = Grammar(("1", "2"), max_tokens=40, least=1, most=2)


def answers(
    model: CausalModel, received: Callable[[str], float], number: int, user: str = "ana"
) -> list[ReplyExample]:
    """``received``: the reward of what was said."""
    return [_answer(model, at, SAID[at % len(SAID)], received, user) for at in range(number)]


def _answer(
    model: CausalModel, at: int, said: str, received: Callable[[str], float], user: str
) -> ReplyExample:
    prompt_ids = model.base.prompt_ids("Answer.", f"Something funny {at % 3}")
    token_ids = model.base.reply_ids(said, GRAMMAR)
    with torch.no_grad():
        scored = model.score([Reply(prompt_ids, token_ids, GRAMMAR, 0.7)])
    return ReplyExample(
        partition=0,
        offset=at,
        index=0,
        user_id=user,
        produced_at_ms=at,
        reply_id=f"r{at}",
        generation="g000000-00000000",
        prompt_ids=prompt_ids,
        token_ids=token_ids,
        slots=GRAMMAR.slots,
        max_tokens=GRAMMAR.max_tokens,
        least=GRAMMAR.least,
        most=GRAMMAR.most,
        temperature=0.7,
        log_probability=float(scored.log_probabilities_BT.sum()),
        plan=at % 16,
        plan_propensity=1 / 16,
        context_C=np.full(len(CONTEXT), (at % 5) / 5, np.float32),
        reward=received(said),
        weight=1.0,
    )


def chances(model: CausalModel, examples: Sequence[ReplyExample]) -> list[float]:
    """In nats, of each reply."""
    with torch.no_grad():
        rows = [Reply(e.prompt_ids, e.token_ids, GRAMMAR, 0.7) for e in examples]
        return model.score(rows).log_probabilities_BT.sum(dim=1).tolist()
