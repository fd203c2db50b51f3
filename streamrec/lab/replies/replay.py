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


@dataclass(frozen=True, slots=True, eq=False)
class ToldReply:
    """What came of one question. ``acceptance``: the true probability, not the answer drawn."""

    acceptance: float
    suits: bool
    said: Rendered
    words: str  # as written, with slots; "" where a template spoke
    finished: bool
    example: ReplyExample


class _Attempt(NamedTuple):
    """At an answer, before it is seen."""

    question: Question
    brief: Brief
    plan: ChosenPlan
    want: Wanted
    words: Written


@dataclass(slots=True)
class Arm:
    """``learner``: of words and plans, where words are learned; else ``bandit`` alone, or None."""

    name: str
    bandit: PlanBandit | None = None
    learner: RepliesLearner | None = None
    told: dict[int, ToldReply] = field(default_factory=dict)  # by place of the question

    def chosen(self, question: Question, seed: int) -> ChosenPlan:
        believed = PlanBandit()
        if self.name in (BANDIT, BOTH):
            believed = self.learner.bandit if self.learner else self.bandit or believed
        return believed.choose(question.context_C, seed)

    def learn(self, examples: Sequence[ReplyExample]) -> bool:
        """Whether the words have changed."""
        if self.learner is not None:
            return self.learner.learn(examples).encoder_steps > 0
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
        self._writer = CausalWriter(start.with_adapter(), lambda path: self._weights[path.name])
        self._names = dict.fromkeys(ARMS, START)  # of the generation that writes for an arm

    def run(
        self, asked: Sequence[Question], on_progress: Callable[[int, int], None]
    ) -> Mapping[str, Arm]:
        """Ask everything. Without learning nothing changes: that arm is asked the first and last
        fifth alone."""
        fifth = len(asked) // 5
        for begin in range(0, len(asked), self._config.batch):
            places = range(begin, min(begin + self._config.batch, len(asked)))
            for arm in self.arms.values():
                of_arm = [
                    at for at in places
                    if arm.name != NONE or at < fifth or at >= len(asked) - fifth
                ]  # fmt: skip
                if of_arm:
                    self._round(arm, [(at, asked[at]) for at in of_arm])
            on_progress(places.stop, len(asked))
        return self.arms

    def _round(self, arm: Arm, asked: Sequence[tuple[int, Question]]) -> None:
        name = self._names[arm.name]
        self._writer.load(name, Path(name))
        chosen = [arm.chosen(question, self._seed * 1_000_003 + at) for at, question in asked]
        briefs = [
            Brief(question.query, question.listed, question.history, PLANS[plan.index])
            for (_, question), plan in zip(asked, chosen, strict=True)
        ]
        wants = [
            wanted(brief, name, self._seed * 1_000_003 + at)
            for (at, _), brief in zip(asked, briefs, strict=True)
        ]
        written = self._writer.generate(wants)
        told = [
            self._told(at, _Attempt(question, brief, plan, want, words))
            for (at, question), brief, plan, want, words in zip(
                asked, briefs, chosen, wants, written, strict=True
            )
        ]
        arm.told |= {at: one for (at, _), one in zip(asked, told, strict=True)}
        if arm.learn([one.example for one in told]) and arm.learner is not None:
            if name != START:
                self._writer.retire(name)
                del self._weights[name]
            renewed = f"{arm.name}-{asked[-1][0]}"
            model = arm.learner.model
            self._weights[renewed] = model.adapter_state()
            self._names[arm.name] = renewed

    def _told(self, at: int, tried: _Attempt) -> ToldReply:
        question, brief, plan, want, words = tried
        try:
            said = rendered(brief, words.text)
            checked(brief, said, self._titles, ReplyRules())
            own = True
        except ReplyRefused:
            said, own = template(brief), False
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
        return ToldReply(accepts, suits, said, words.text if own else "", words.finished, example)


def _learner(start: CausalModel, config: RepliesConfig, seed: int) -> RepliesLearner:
    return RepliesLearner(start.with_adapter(), config, seed)
