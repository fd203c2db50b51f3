"""The task replies, put together: what is said about a list.

It is asked by lists (topic ``recommendations``) and answers on a topic of its own.
"""

from __future__ import annotations

from pathlib import Path

from streamrec.apps import clients, trust
from streamrec.apps.worker_context import WorkerContext
from streamrec.core import topics
from streamrec.core.release.manifest import Manifest
from streamrec.core.replies.rules import ReplyRules, read_rules
from streamrec.errors import UserError
from streamrec.loop.training.training_worker import CatalogueMirror
from streamrec.models.causal import load_causal, reply_model
from streamrec.models.hotswap import WarmGenerations
from streamrec.ports import ExampleSource, Serving, Training
from streamrec.settings import RepliesSettings, Review, Settings
from streamrec.tasks.replies.answerer import ReplyAnswerer, ReplyShelf, SayingRules
from streamrec.tasks.replies.example_maker import example_source
from streamrec.tasks.replies.model.served import served_replies
from streamrec.tasks.replies.reply_model import ReplyModel, TemplatesFirst

AT_ONCE = 8
"""Messages of a micro-batch: nobody waits for the words of many others."""


class RepliesTask:
    """``ports.Task``: what is said about a list."""

    @property
    def examples(self) -> ExampleSource:
        return example_source()

    def training(self, context: WorkerContext) -> Training:
        """Raises UserError."""
        raise UserError(f"{context.worker_id}: replies cannot be learned by this version")

    def again(self, settings: Settings, manifest: Manifest) -> Training:
        """Raises UserError."""
        del settings
        raise UserError(f"{manifest.generation}: replies cannot be learned by this version")

    def serving(self, context: WorkerContext) -> Serving:
        answerer = reply_answerer(context)
        swap = TemplatesFirst(generations(context.settings), lambda: answerer.mirrored)
        return Serving(answerer, swap, triggers=(topics.RECOMMENDATIONS,), at_once=AT_ONCE)


def generations(settings: Settings) -> WarmGenerations[ReplyModel]:
    """Its generations; the language model comes with the first of them."""
    wanted = reply_model(settings.encoder, settings.replies.model)
    return served_replies(lambda: load_causal(wanted), trust.signers(settings))


def reply_answerer(context: WorkerContext) -> ReplyAnswerer:
    """What makes replies, by the settings."""
    settings = context.settings
    kept = clients.replies(settings, context.redis)
    conversations = clients.conversations(settings, context.redis)
    return ReplyAnswerer(
        context.edges(),
        ReplyShelf(kept.keep, conversations.turns, conversations.add),
        CatalogueMirror(context.store, context.partitions[topics.ITEMS]).refresh,
        worker_id=context.worker_id,
        rules=saying_rules(settings.replies),
    )


def saying_rules(settings: RepliesSettings) -> SayingRules:
    """Raises UserError when the file of rules cannot be read."""
    return SayingRules(
        int(settings.max_wait_s * 1000),
        blocks(settings.rules_file),
        review_all=settings.review is Review.ALL,
        review_flagged=settings.review is Review.FLAGGED,
    )


def blocks(file: str) -> ReplyRules:
    """Of a file of rules; empty: none. Raises UserError."""
    if not file:
        return ReplyRules()
    try:
        return read_rules(Path(file).read_text(encoding="utf-8").splitlines(), file)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"STREAMREC_REPLIES_RULES_FILE={file} cannot be read: {error}") from None
