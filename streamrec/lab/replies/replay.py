"""Replies learned over a stream of questions, four ways at once: nothing, words, plans, both.

Every arm is asked the same questions in the same order, in rounds; whoever answers draws with the
same random numbers, and a person's mood at a question is the same for all. So differences between
arms are paired. Each begins with the same adapter, the start.

Knows this order. Does not know what is measured of it (``report``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from streamrec.core.replies.brief import Brief
from streamrec.core.replies.checks import checked
from streamrec.core.replies.names import Names
from streamrec.core.replies.plan import PLANS
from streamrec.core.replies.plan_bandit import ChosenPlan, PlanBandit
from streamrec.core.replies.rendering import Rendered, rendered
from streamrec.core.replies.rules import ReplyRules
from streamrec.core.replies.templates import template
from streamrec.errors import ReplyRefused
from streamrec.lab.replies.people import Tastes, traits
from streamrec.lab.replies.questions import Question
from streamrec.models.causal import CausalModel
from streamrec.models.writer import CausalWriter
from streamrec.ports.generating import Wanted, Written
from streamrec.tasks.replies.examples import ReplyExample
from streamrec.tasks.replies.model.learner import RepliesConfig, RepliesLearner
from streamrec.tasks.replies.reply_model import wanted

NONE, ADAPTER, BANDIT, BOTH = ARMS = ("none", "adapter", "bandit", "both")
START = "start"
TOGETHER = 32
"""Replies written in a batch."""
RECENT = 64
"""Replies that progress speaks of."""


@dataclass(frozen=True, slots=True, eq=False)
class ToldReply:
    """What came of one question. ``acceptance``: the true probability, not the answer drawn."""

    acceptance: float
    suits: bool
    said: Rendered
    words: str  # as written, with slots; "" where a template spoke
    refused: str  # why one did; else ""
    finished: bool
    example: ReplyExample


class _Attempt(NamedTuple):
    """At an answer, before it is written."""

    question: Question
    brief: Brief
    plan: ChosenPlan
    want: Wanted


@dataclass(slots=True)
class Arm:
    """``learner``: of words and plans, where words are learned; else ``bandit`` alone, or None."""

    name: str
    bandit: PlanBandit | None = None
    learner: RepliesLearner | None = None
    told: dict[int, ToldReply] = field(default_factory=dict)  # by place of the question
    nats: float | None = None  # a reply, from the start, at the last step

    def chosen(self, question: Question, seed: int) -> ChosenPlan:
        believed = PlanBandit()
        if self.name in (BANDIT, BOTH):
            believed = self.learner.bandit if self.learner else self.bandit or believed
        return believed.choose(question.context_C, seed)

    def learn(self, examples: Sequence[ReplyExample]) -> bool:
        """Whether the words have changed."""
        if self.learner is not None:
            report = self.learner.learn(examples)
            self.nats = report.losses.get("kl_nats", self.nats)
            return report.encoder_steps > 0
        if self.bandit is not None:
            for one in examples:
                self.bandit.learn(one.plan, one.context_C, one.reward, one.weight)
        return False


class RepliesReplay:
    """One pass. ``start``: the model with the adapter that all arms begin with."""

    def __init__(
        self,
        start: CausalModel,
        titles: Names,
        people: Tastes,
        seed: int,
        config: RepliesConfig,
    ) -> None:
        self._titles, self._people, self._seed, self._config = titles, people, seed, config
        self.arms = {
            NONE: Arm(NONE),
            ADAPTER: Arm(ADAPTER, learner=_learner(start, config, seed)),
            BANDIT: Arm(BANDIT, bandit=PlanBandit()),
            BOTH: Arm(BOTH, learner=_learner(start, config, seed)),
        }
        self._weights = {START: start.adapter_state()}
        self._writer = CausalWriter(
            start.with_adapter(), lambda path: self._weights[path.name], together=TOGETHER
        )
        self._writer.load(START, Path(START))
        self._names = dict.fromkeys(ARMS, START)  # of the generation that writes for an arm
        self._version = 0

    def run(
        self, asked: Sequence[Question], on_progress: Callable[[int, int, str], None]
    ) -> Mapping[str, Arm]:
        """Ask everything. Without learning nothing changes: that arm is asked the first and last
        fifth alone."""
        fifth = len(asked) // 5
        for begin in range(0, len(asked), self._config.batch):
            places = range(begin, min(begin + self._config.batch, len(asked)))
            self._round([
                (arm, at, asked[at])
                for arm in self.arms.values() for at in places
                if arm.name != NONE or at < fifth or at >= len(asked) - fifth
            ])  # fmt: skip
            on_progress(places.stop, len(asked), self._standing())
        return self.arms

    def _round(self, asked: Sequence[tuple[Arm, int, Question]]) -> None:
        """Replies of all arms are written together: most of the time, weights are read."""
        tried = [self._tried(*one) for one in asked]
        written = self._writer.generate([one.want for one in tried])
        examples: dict[str, list[ReplyExample]] = {name: [] for name in self.arms}
        for (arm, at, _), attempt, words in zip(asked, tried, written, strict=True):
            told = arm.told[at] = self._told(at, attempt, words)
            examples[arm.name].append(told.example)
        for arm in self.arms.values():
            if arm.learn(examples[arm.name]) and arm.learner is not None:
                self._renew(arm.name, arm.learner.model)

    def _tried(self, arm: Arm, at: int, question: Question) -> _Attempt:
        seed = self._seed * 1_000_003 + at
        plan = arm.chosen(question, seed)
        brief = Brief(question.query, question.listed, question.history, PLANS[plan.index])
        return _Attempt(question, brief, plan, wanted(brief, self._names[arm.name], seed))

    def _renew(self, arm: str, model: CausalModel) -> None:
        """What has been learned writes from now on."""
        before, self._version = self._names[arm], self._version + 1
        if before != START:
            self._writer.retire(before)
            del self._weights[before]
        name = self._names[arm] = f"{arm}-{self._version}"
        self._weights[name] = model.adapter_state()
        self._writer.load(name, Path(name))

    def _standing(self) -> str:
        """Of each arm that learns: acceptance over the last ``RECENT``, and how far it has gone."""
        said = []
        for arm in self.arms.values():
            lately = [one.acceptance for one in list(arm.told.values())[-RECENT:]]
            far = "" if arm.nats is None else f", {arm.nats:.1f} nats"
            if arm.name != NONE:
                said.append(f"{arm.name} {np.mean(lately):.2f}{far}")
        return "; ".join(said)

    def _told(self, at: int, tried: _Attempt, words: Written) -> ToldReply:
        question, brief, plan, want = tried
        try:
            said = rendered(brief, words.text)
            checked(brief, said, self._titles, ReplyRules())
            refused = ""
        except ReplyRefused as error:
            said, refused = template(brief), error.code
        own = not refused
        accepts = self._people.accepts(traits(brief, said), varied=question.varied)
        mood = np.random.default_rng([self._seed, at]).random()
        grammar = want.grammar
        example = ReplyExample(
            partition=0,
            offset=at,
            index=0,
            user_id=question.user_id,
            produced_at_ms=at,
            reply_id=f"r{at}",
            generation=want.generation if own else "",
            prompt_ids=words.prompt_ids if own else (),
            token_ids=words.token_ids if own else (),
            slots=grammar.slots,
            max_tokens=grammar.max_tokens,
            least=grammar.least,
            most=grammar.most,
            temperature=want.temperature,
            log_probability=(words.log_probability or 0.0) if own else 0.0,
            plan=plan.index,
            plan_propensity=plan.propensity,
            context_C=question.context_C,
            reward=float(mood < accepts),
            weight=1.0,
        )
        suits = self._people.suits(brief, varied=question.varied)
        text = words.text if own else ""
        return ToldReply(accepts, suits, said, text, refused, words.finished, example)


def _learner(start: CausalModel, config: RepliesConfig, seed: int) -> RepliesLearner:
    return RepliesLearner(start.with_adapter(), config, seed)
