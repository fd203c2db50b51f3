"""The adapter that everybody starts from: trained once on the words that code can say (``g0``).

Knows steps and losses. Does not know where items come from or where a generation goes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from streamrec.core.events import Item
from streamrec.core.replies.brief import Brief, prompt
from streamrec.core.replies.first_words import first_words
from streamrec.core.replies.plan import PLANS
from streamrec.errors import UserError
from streamrec.models.causal import CausalModel, Reply
from streamrec.tasks.replies.reply_model import wanted

QUERIES = (
    "something good", "what should I take next?", "a {kind} please", "any good {kind}?",
    "surprise me", "I liked the last one, what now?", "not {kind}, something else", "",
)  # fmt: skip
MOST_LISTED, MOST_HISTORY = 5, 3
MOST_TOKENS = 256
"""Of a sentence to learn from, however a tokenizer spells it."""


@dataclass(frozen=True, slots=True)
class StartConfig:
    steps: int
    rate: float = 8e-3
    clip_norm: float = 1.0


def made_up_briefs(items: Sequence[Item], drawn: random.Random) -> list[Brief]:
    """One question about items of the catalogue, drawn, with each plan that has a history, or each
    that has none: their prompts differ in the last line alone, so most of it is read once.

    One time in six it is somebody without a history.
    """
    listed = tuple(drawn.sample(items, min(drawn.randint(2, MOST_LISTED), len(items))))
    had = 0 if drawn.random() < 1 / 6 else drawn.randint(1, MOST_HISTORY)
    history = tuple(drawn.sample(items, min(had, len(items))))
    kinds = [kind for item in listed for kind in item.categories] or ["one"]
    query = drawn.choice(QUERIES).format(kind=drawn.choice(kinds).lower())
    mentioned = drawn.random() < 0.5
    return [Brief(query, listed, history, plan) for plan in PLANS if plan.history == mentioned]


def train_start(
    model: CausalModel,
    items: Sequence[Item],
    seed: int,
    config: StartConfig,
    on_step: Callable[[int, int, float], None] = lambda _done, _of, _loss: None,
) -> float:
    """Train the model's adapter; the mean loss of the last steps, in nats a token.

    Raises UserError for a catalogue too small to make lists of.
    """
    drawn = random.Random(f"start {seed}")  # noqa: S311 - a simulation
    if len(items) < MOST_LISTED:
        raise UserError(f"{len(items)} items: at least {MOST_LISTED} are needed to make lists of")
    parameters = model.trainable_parameters()
    optimizer = torch.optim.AdamW(parameters, lr=config.rate, betas=(0.9, 0.99), weight_decay=0.0)
    losses = []
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.rate * min((step + 1) / 5, 1 - step / config.steps)
        rows = [_row(model, brief, drawn) for brief in made_up_briefs(items, drawn)]
        scored = model.score(rows)
        loss = -scored.log_probabilities_BT.sum() / sum(len(row.token_ids) for row in rows)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        optimizer.step()
        losses.append(float(loss.detach()))
        on_step(step + 1, config.steps, losses[-1])
    return sum(losses[-10:]) / len(losses[-10:])


def _row(model: CausalModel, brief: Brief, drawn: random.Random) -> Reply:
    grammar = replace(wanted(brief, "", 0).grammar, max_tokens=MOST_TOKENS)
    ids = model.base.reply_ids(first_words(brief, drawn), grammar)
    return Reply(model.base.prompt_ids(*prompt(brief)), ids, grammar, 1.0)
