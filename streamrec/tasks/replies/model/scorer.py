"""What frozen weights say of replies: how likely they are to plan and to write what was written.

Some prompts are answered anew, by these weights and by those that learning started from: what they
would say, not only how they like what others said.

Knows a generation's parts and their files. Does not know how they are learned (``learner``).

Files: the adapter as PEFT lays it out; in ``head.safetensors`` the bandit's sums, and the adapter
that learning started from, to which divergence is measured.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from streamrec.core.replies.plan_bandit import PlanBandit
from streamrec.models.causal import CausalModel, Reply
from streamrec.models.generation import write_weights
from streamrec.models.pinned_lora import PinnedAdapters
from streamrec.models.state_dicts import named, under
from streamrec.models.writing import PromptPrefix, ReplyRow, write
from streamrec.ports.generating import Grammar, Written
from streamrec.tasks.replies.examples import ReplyExample

CHUNK = 8
ANSWERED_ANEW = 4
"""One in so many prompts is answered anew, by its ``reply_id``."""
OWN, START = 0, 1
"""Places of the two adapters that write."""


@dataclass(frozen=True, slots=True)
class SaidOfReply:
    """``log_probability``: of the reply, in nats; 0 of a template's. ``kl``: from the start, over
    the reply, in nats; None of a template's. ``chance``: of its plan. ``own``, ``start``: what
    these weights and those of the start would say, where that was asked."""

    log_probability: float
    kl: float | None
    chance: float
    own: Written | None = None
    start: Written | None = None


class RepliesScorer:
    """``ports.Scorer``: frozen weights."""

    def __init__(self, model: CausalModel, start: CausalModel, bandit: PlanBandit) -> None:
        self.model, self.start, self.bandit = model, start, bandit

    def score(self, examples: Sequence[ReplyExample]) -> list[SaidOfReply]:
        """Of each example."""
        likely, anew = self.likelihoods(examples), self._anew(examples)
        found = []
        for at, example in enumerate(examples):
            said, kl = likely.get(at, (0.0, None))
            own, start = anew.get(at, (None, None))
            found.append(SaidOfReply(said, kl, self._chance(example), own, start))
        return found

    def likelihoods(self, examples: Sequence[ReplyExample]) -> dict[int, tuple[float, float]]:
        """By the place of an example that has words: log-probability and divergence, in nats."""
        found: dict[int, tuple[float, float]] = {}
        written = [at for at, one in enumerate(examples) if one.token_ids]
        written.sort(key=lambda at: len(examples[at].prompt_ids))
        for begin in range(0, len(written), CHUNK):
            places = written[begin : begin + CHUNK]
            with torch.no_grad():
                rows = [scored_reply(examples[at]) for at in places]
                scored = self.model.score(rows, self.start)
            sums = (scored.log_probabilities_BT.sum(dim=1), scored.kl_BT.sum(dim=1))
            for at, said, kl in zip(places, *(sum_B.tolist() for sum_B in sums), strict=True):
                found[at] = said, kl
        return found

    def _anew(self, examples: Sequence[ReplyExample]) -> dict[int, tuple[Written, Written]]:
        """By the place of an example whose prompt was answered anew: by us, and by the start."""
        places = [at for at, one in enumerate(examples) if one.token_ids and answered_anew(one)]
        if not places:
            return {}
        adapters = PinnedAdapters(self.model.adapted, 2)
        adapters.fill(OWN, self.model.adapter_state())
        adapters.fill(START, self.start.adapter_state())
        base, found = self.model.base, dict[int, tuple[Written, Written]]()
        for begin in range(0, len(places), CHUNK):
            chunk = places[begin : begin + CHUNK]
            rows = [self._row(examples[at], adapter) for at in chunk for adapter in (OWN, START)]
            write(adapters, base, rows, [PromptPrefix((), ())] * len(rows))
            said = [row.written(base) for row in rows]
            found |= dict(zip(chunk, zip(said[::2], said[1::2], strict=True), strict=True))
        return found

    def _row(self, example: ReplyExample, adapter: int) -> ReplyRow:
        base = self.model.base
        constraint = base.constraint(scored_reply(example).grammar)
        seed = zlib.crc32(b"anew " + example.reply_id.encode())
        return ReplyRow(example.prompt_ids, constraint, example.temperature, seed, adapter)

    def _chance(self, example: ReplyExample) -> float:
        """By draws that depend on where the example stands alone."""
        place = (example.partition, example.offset, example.index)
        return float(self.bandit.chances(example.context_C, place)[example.plan])


def answered_anew(example: ReplyExample) -> bool:
    """Whether a scorer answers its prompt anew: the same whoever scores."""
    return zlib.crc32(example.reply_id.encode()) % ANSWERED_ANEW == 0


def scored_reply(example: ReplyExample) -> Reply:
    """As the language model wants it."""
    grammar = Grammar(example.slots, example.max_tokens, example.least, example.most)
    return Reply(example.prompt_ids, example.token_ids, grammar, example.temperature)


def write_replies(scorer: RepliesScorer, directory: Path) -> None:
    """The weight files of a generation; sealing completes it."""
    head = named("start", scorer.start.adapter_state()) | bandit_tensors(scorer.bandit)
    write_weights(directory, scorer.model, head, torch.zeros(scorer.model.dim))


def bandit_tensors(bandit: PlanBandit) -> dict[str, Tensor]:
    """Its state as tensors, named ``bandit.*``."""
    return named("bandit", {name: torch.from_numpy(x) for name, x in bandit.state().items()})


def bandit_of(tensors: Mapping[str, Tensor]) -> PlanBandit:
    """What ``bandit_tensors`` made. Raises KeyError, ValueError for something else."""
    return PlanBandit.from_state({k: v.numpy() for k, v in under("bandit", tensors).items()})
