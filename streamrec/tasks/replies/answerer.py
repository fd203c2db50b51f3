"""From lists whose asker wants words to replies, each by one generation; an answer always.

Knows the order of things and why a template speaks. Does not know how a text is written
(``reply_model``), what may be said (``core.replies``) or where replies are kept.

1. Of each list: the items, the user's history, what was said before; a plan for the reply.
2. The model writes, in a thread of its own; what is refused it writes once more, by another seed,
   while there is time. What has not come in time, is refused, or was asked too long ago, a template
   says; ``fallback`` says why.
   Sentences that may be said are said as they come, as parts, where nobody reviews them.
3. What was made is kept before anybody sees it: made again, it is the same.
4. Published with the event that it was said, from which the task learns.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from streamrec.core import topics
from streamrec.core.events import Item, Recommendation, ReplyMessage, Source
from streamrec.core.replies.brief import Brief
from streamrec.core.replies.checks import checked
from streamrec.core.replies.context import context_of
from streamrec.core.replies.language import ENGLISH, language_of
from streamrec.core.replies.names import Names
from streamrec.core.replies.plan import PLANS
from streamrec.core.replies.refusals import Refusal
from streamrec.core.replies.rendering import Rendered, rendered
from streamrec.core.replies.rules import ReplyRules, admissible
from streamrec.core.replies.templates import template
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.user_state import NEW_USER, UserState
from streamrec.errors import GenerationRefused, ReplyRefused, Unavailable
from streamrec.ports import MODEL_FAULTS, Answer, Answered, Delivered
from streamrec.ports.edges import Edges
from streamrec.ports.generating import Written
from streamrec.tasks.replies.drafts import (
    AWAY,
    HELD,
    LATE,
    NO_MODEL,
    NOTHING_LISTED,
    OURS,
    Draft,
    ReplyRequest,
    fall_back,
    log_of,
    message_of,
    seed_of,
)
from streamrec.tasks.replies.made import MadeReply
from streamrec.tasks.replies.reply_model import ReplyModel, Write, wanted

log = logging.getLogger(__name__)

LISTED, HISTORY = 5, 3
"""Items that a reply may name."""
ENDS = (".", "!", "?", "…", "。", "！", "？")
WRITTEN = 2
"""Times that a model may write a reply."""
EVERY_ONE = "every reply is looked at"


@dataclass(frozen=True, slots=True)
class SayingRules:
    """``max_wait_ms``: a model that has not answered by then is late. ``blocks``: what nobody is
    told. Which replies wait for a person: all (``review_all``), or those of which a rule says so
    (``review_flagged``); of what may not be said, none.
    """

    max_wait_ms: int = 5_000
    blocks: ReplyRules = ReplyRules()
    review_all: bool = False
    review_flagged: bool = False


@dataclass(frozen=True, slots=True)
class ReplyShelf:
    """What is remembered. ``keep``: what stands of replies just made, and of when; ``turns``: of a
    user's conversation, oldest first; ``add``: one more turn of it. All raise Unavailable."""

    keep: Callable[[Sequence[MadeReply], int], Sequence[MadeReply]]
    turns: Callable[[str, str], Sequence[Mapping[str, Any]]]
    add: Callable[[str, str, Mapping[str, Any]], None]


class ReplyAnswerer:
    """``ports.Answerer``: replies to lists, one micro-batch at a time."""

    def __init__(
        self,
        edges: Edges,
        shelf: ReplyShelf,
        items: Callable[[], Iterable[Item]],
        *,
        worker_id: str,
        rules: SayingRules | None = None,
        say: Callable[[ReplyMessage], object] | None = None,
    ) -> None:
        """``items``: new and changed ones since the last call, raises Unavailable. ``say``: told
        the parts of a reply, in the thread that writes; None: nobody wants them.
        """
        self._say = say
        self._store, self._clock = edges.store, edges.clock
        self._partition_of, self._shelf, self._items = edges.partition_of, shelf, items
        self._worker_id, self._rules = worker_id, rules or SayingRules()
        self._catalogue, self._names = Catalogue(reclaims=True), Names()
        self._writing: Executor = ThreadPoolExecutor(1, "writing")
        self._lock = threading.Lock()  # guards the catalogue and its names
        self.mirrored = False

    @property
    def catalogue(self) -> Catalogue:
        return self._catalogue

    def refresh(self) -> int:
        before, items = self._catalogue.version, list(self._items())
        with self._lock:
            self._catalogue.put(items)
            for item in items:
                self._names.put(item) if item.title else self._names.remove(item.item_id)
        self.mirrored = True
        return self._catalogue.version - before

    def asked(self, batch: Sequence[Delivered]) -> tuple[list[ReplyRequest], int]:
        found = [(message, message.value) for message in batch]
        return [
            ReplyRequest(message, about.user_id, about)
            for message, about in found
            if isinstance(about, Recommendation) and about.wants_reply
        ], 0

    def sound(self, model: ReplyModel) -> bool:
        """Whether it can choose a plan for somebody of whom nothing is known."""
        try:
            return 0 <= model.choose(context_of("", ()), 0).index < len(PLANS)
        except MODEL_FAULTS:
            return False

    def answer(self, asked: Sequence[ReplyRequest], model: ReplyModel) -> Answered:
        """See the module. Raises Unavailable, and MODEL_FAULTS when the model is broken."""
        users = self._users({one.user_id for one in asked})
        drafts = [self._draft(one, users[one.user_id], model) for one in asked]
        self._write(drafts, model)
        now_ms = self._clock.now_ms()
        made = [self._made(draft, model, now_ms) for draft in drafts]
        stand = self._shelf.keep(made, now_ms)
        for one in stand:
            self._remember(one)
        answers = [_answer(draft, one, model) for draft, one in zip(drafts, stand, strict=True)]
        fallbacks = Counter(draft.fallback for draft in drafts if draft.fallback)
        return Answered(answers, sum(one.empty for one in answers), fallbacks=fallbacks)

    # -- what is asked ----------------------------------------------------------------

    def _users(self, user_ids: Iterable[str]) -> dict[str, UserState]:
        by_partition: dict[int, list[str]] = defaultdict(list)
        for user_id in sorted(user_ids):
            by_partition[self._partition_of(user_id)].append(user_id)
        users: dict[str, UserState] = {}
        for partition, ids in by_partition.items():
            _, records = self._store.read_users(Source(topics.EVENTS, partition), ids)
            for user_id, record in zip(ids, records, strict=True):
                users[user_id] = NEW_USER if record is None else UserState.from_record(record)
        return users

    def _draft(self, asked: ReplyRequest, user: UserState, model: ReplyModel) -> Draft:
        about, query = asked.about, asked.about.query or ""
        history = self._known(reversed(user.history), HISTORY)
        turns: Sequence[object] = ()
        if about.conversation_id is not None:
            turns = self._shelf.turns(asked.user_id, about.conversation_id)
        context_C = context_of(query, history, len(turns), len(user.history))
        seed = seed_of(about)
        chosen = model.choose(context_C, seed)
        listed = self._known((item.item_id for item in about.items), LISTED)
        language = language_of(query) or ENGLISH
        plan = PLANS[chosen.index]
        if not history:
            plan = replace(plan, history=False)  # asked for what is not there, a model makes it up
        brief = Brief(query, listed, history, plan, language)
        brief = admissible(brief, self._rules.blocks)
        draft = Draft(asked, brief, chosen, context_C.tolist(), seed)
        draft.fallback = self._why_not(draft, model)
        return draft

    def _known(self, ids: Iterable[str], most: int) -> tuple[Item, ...]:
        """Items that have words to be named by."""
        with self._lock:
            rows = (self._catalogue.row(item_id) for item_id in dict.fromkeys(ids))
            items = (self._catalogue.item(row) for row in rows if row is not None)
            return tuple(item for item in items if item.available)[:most]

    def _why_not(self, draft: Draft, model: ReplyModel) -> str | None:
        """Why the model is not asked."""
        if not draft.brief.listed:
            return NOTHING_LISTED
        if model.write is None:
            return NO_MODEL
        return LATE if self._left_ms(draft) <= 0 else None

    def _left_ms(self, draft: Draft) -> int:
        message = draft.asked.message
        return self._rules.max_wait_ms - (self._clock.now_ms() - message.timestamp_ms)

    # -- what is said -----------------------------------------------------------------

    def _write(self, drafts: Sequence[Draft], model: ReplyModel) -> None:
        for again in range(WRITTEN):
            speaking = [draft for draft in drafts if draft.speaks or (again and self._again(draft))]
            if speaking and model.write is not None:
                self._draw(speaking, model.generation, model.write, again)
        for draft in drafts:
            if draft.said is None:
                draft.said = template(draft.brief)

    def _draw(self, drafts: Sequence[Draft], generation: str, write: Write, again: int) -> None:
        """``again``: how often they were written before; what is refused twice was refused."""
        refused = [draft.fallback for draft in drafts]
        asked = [wanted(one.brief, generation, (one.seed + again) % 2**32) for one in drafts]
        for draft, one in zip(drafts, asked, strict=True):
            draft.wanted, draft.fallback, draft.heard = one, None, ""
        hear = partial(self._hear, drafts, generation) if self._streams else None
        self._take(drafts, self._writing.submit(write, asked, hear))
        for draft, before in zip(drafts, refused, strict=True):
            if draft.fallback in (LATE, AWAY):
                draft.fallback = before or draft.fallback

    def _again(self, draft: Draft) -> bool:
        """Whether what was written was refused, and there is time to write once more."""
        return draft.said is None and draft.fallback in {*Refusal} and self._left_ms(draft) > 0

    @property
    def _streams(self) -> bool:
        return not (self._say is None or self._rules.review_all or self._rules.review_flagged)

    def _hear(self, drafts: Sequence[Draft], generation: str, place: int, text: str) -> None:
        """In the thread that writes: what goes on with ``text`` has a sentence that can be said."""
        draft = drafts[place]
        draft.heard += text
        if draft.over or self._say is None or not text.rstrip().endswith(ENDS):
            return
        try:
            found = rendered(draft.brief, draft.heard)
            with self._lock:
                checked(draft.brief, found, self._names, self._rules.blocks)
        except ReplyRefused:
            return  # more words may make it better; in the end the whole is judged
        part = self._message(draft, found, generation, None, self._clock.now_ms())
        self._say(replace(part, sequence=draft.parts, final=False))
        draft.parts += 1

    def _take(self, drafts: Sequence[Draft], writing: Future[Sequence[Written]]) -> None:
        """What was written in time; a thread that is late finishes for nobody."""
        try:
            texts = writing.result(max(0.0, min(map(self._left_ms, drafts)) / 1000))
        except TookTooLong:
            writing.cancel()
            for draft in drafts:
                draft.over = True
            return fall_back(drafts, LATE)
        except (Unavailable, GenerationRefused) as error:
            log.warning("templates answer: %s", error)
            return fall_back(drafts, AWAY)
        for draft, written in zip(drafts, texts, strict=True):
            self._judge(draft, written)
        return None

    def _judge(self, draft: Draft, written: Written) -> None:
        draft.written = written
        try:
            found = rendered(draft.brief, written.text)
            with self._lock:
                checked(draft.brief, found, self._names, self._rules.blocks)
        except ReplyRefused as refused:
            draft.fallback = refused.code
            return
        draft.why_held = self._why_held(found)
        if draft.why_held:
            draft.fallback, draft.held = HELD, found
        else:
            draft.said = found

    def _why_held(self, found: Rendered) -> str:
        """Empty where nobody has to look at it."""
        rules = self._rules
        if not (rules.review_all or rules.review_flagged):
            return ""
        flags = (rule.line for rule in rules.blocks.flagged if rule.found_in(found.text))
        return next(flags, EVERY_ONE if rules.review_all else "")

    # -- what becomes of it -----------------------------------------------------------

    def _made(self, draft: Draft, model: ReplyModel, now_ms: int) -> MadeReply:
        assert draft.said is not None  # noqa: S101 - ``_write`` has seen to it
        query, code = draft.about.query or "", draft.fallback
        if code is None:
            said = self._message(draft, draft.said, model.generation, None, now_ms)
            return MadeReply(said, log_of(draft, draft.said, model.generation), query)
        said = self._message(draft, draft.said, None, code, now_ms)
        made = MadeReply(said, log_of(draft, draft.said, ""), query)
        if draft.held is None:
            return made
        held = self._message(draft, draft.held, model.generation, None, now_ms)
        log_ = log_of(draft, draft.held, model.generation)
        return replace(made, held=held, held_log=log_, why=draft.why_held)

    def _message(
        self, draft: Draft, said: Rendered, generation: str | None, why: str | None, now_ms: int
    ) -> ReplyMessage:
        return message_of(draft, said, generation, why, now_ms=now_ms, worker_id=self._worker_id)

    def _remember(self, made: MadeReply) -> None:
        said = made.said
        if said.conversation_id is None:
            return
        turn = {
            "query": made.query,
            "text": said.text,
            "reply_id": said.reply_id,
            "recommendation_id": said.recommendation_id,
        }
        self._shelf.add(said.user_id, said.conversation_id, turn)


def _answer(draft: Draft, made: MadeReply, model: ReplyModel) -> Answer:
    event = made.event
    return Answer(
        draft.asked,
        topics.REPLIES,
        made.said,
        model.generation,
        draft.about.triggered_at_ms,
        empty=bool(draft.fallback) and draft.fallback not in OURS,
        beside={} if event is None else {topics.EVENTS: event},
    )
