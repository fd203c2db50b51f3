"""The task replies, put together: what is said about a list.

It is asked by lists (topic ``recommendations``) and answers on a topic of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from streamrec.apps import clients, trust
from streamrec.apps.model import check_base, recorded, settings_then
from streamrec.apps.worker_context import WorkerContext
from streamrec.core import topics
from streamrec.core.events import ReplyMessage
from streamrec.core.release.manifest import Manifest
from streamrec.core.replies.rules import ReplyRules, read_rules
from streamrec.errors import TooLarge, Unavailable, UserError
from streamrec.infra.inference.openai_server import ServedGenerator
from streamrec.loop.training.training_worker import CatalogueMirror
from streamrec.models.causal import CausalModel, load_causal, reply_model
from streamrec.models.generation import made_with
from streamrec.models.hotswap import WarmGenerations
from streamrec.models.text_classifier import load_text_classifier
from streamrec.models.weight_changes import changes
from streamrec.ports import ExampleSource, NewStart, Serving, Training
from streamrec.settings import RepliesSettings, Review, Settings
from streamrec.tasks.replies.answerer import ReplyAnswerer, ReplyShelf, SayingRules
from streamrec.tasks.replies.example_maker import example_source
from streamrec.tasks.replies.examples import check
from streamrec.tasks.replies.gate_metrics import RepliesJudge
from streamrec.tasks.replies.made import MadeReply
from streamrec.tasks.replies.model.generations import RepliesGenerations, start_of
from streamrec.tasks.replies.model.learner import RepliesConfig, RepliesLearner
from streamrec.tasks.replies.model.served import served_replies
from streamrec.tasks.replies.reply_model import ReplyModel, TemplatesFirst

AT_ONCE = 8
"""Messages of a micro-batch: nobody waits for the words of many others."""
KEPT = ("encoder", "trainer")
"""Of the settings, what every manifest keeps."""


class RepliesTask:
    """``ports.Task``: what is said about a list."""

    @property
    def examples(self) -> ExampleSource:
        return example_source()

    def training(self, context: WorkerContext) -> Training:
        """From the generation that the settings name, where it is one of replies.

        Raises EncoderUnavailable, SettingsError when the language model cannot be made;
        GenerationRefused.
        """
        settings = writing_settings(context.settings)
        model, start_from = load_causal(settings.encoder), settings.trainer.start_from
        if not start_from:
            return trained(settings, model)
        found = trained(settings, model)
        if found.new_start.begin_from is not None:
            found.new_start.begin_from(context.registry_store().get(start_from))
        return replace(found, start_from=start_from)

    def again(self, settings: Settings, manifest: Manifest) -> Training:
        then = settings_then(writing_settings(settings), manifest)
        model = load_causal(then.encoder)
        check_base(model, manifest)
        return trained(then, model)

    def serving(self, context: WorkerContext) -> Serving:
        answerer = reply_answerer(context)
        server = reply_server(context.settings.replies)
        if server is not None:
            context.stack.callback(server.close)
        swap = TemplatesFirst(generations(context.settings, server), lambda: answerer.mirrored)
        return Serving(
            answerer, swap, triggers=(topics.RECOMMENDATIONS,), at_once=AT_ONCE, always=True
        )


def writing_settings(settings: Settings) -> Settings:
    """With the model that writes in the place of the encoder."""
    return replace(settings, encoder=reply_model(settings.encoder, settings.replies.model))


def trained(settings: Settings, model: CausalModel) -> Training:
    """What a trainer asks of it, untrained."""
    learner = RepliesLearner(model, RepliesConfig(), settings.trainer.seed)
    made = replies_generations(settings, model)

    def begin_from(directory: Path) -> None:
        read = made.read(directory)
        learner.begin_from(read.adapter, start_of(read))

    return Training(
        learner=learner,
        generations=made,
        judge=RepliesJudge(),
        check=check,
        made_with=made_with(model),
        distance=changes,
        new_start=NewStart(begin_from=begin_from),
    )


def replies_generations(
    settings: Settings, model: CausalModel, more: Mapping[str, Any] | None = None
) -> RepliesGenerations:
    """``settings``: as ``writing_settings`` has them; ``more`` is kept beside them."""
    kept = {name: of for name, of in recorded(settings).items() if name in KEPT} | dict(more or {})
    signers = trust.signers(settings)
    return RepliesGenerations(model, kept, signer=trust.signer(settings), signers=signers)


def generations(
    settings: Settings, server: ServedGenerator | None = None
) -> WarmGenerations[ReplyModel]:
    """Where replies are written; the language model comes with the first of them."""
    encoder = writing_settings(settings).encoder
    return served_replies(lambda: load_causal(encoder), trust.signers(settings), server)


def reply_server(settings: RepliesSettings) -> ServedGenerator | None:
    """Who writes in the place of the worker; None: the worker itself. Raises UserError."""
    if not settings.server:
        return None
    try:
        url = httpx.URL(settings.server)
    except httpx.InvalidURL as error:
        raise UserError(f"STREAMREC_REPLIES_SERVER: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        shown = url.copy_with(username=None, password=None)
        raise UserError(f"STREAMREC_REPLIES_SERVER={shown}: as http://host:port it would be one")
    return ServedGenerator(settings.server, timeout_s=max(SERVER_WAITS_S, settings.max_wait_s))


SERVER_WAITS_S = 1.0
"""At least so long a server may take; whoever is waited for no longer is left alone."""


def reply_answerer(context: WorkerContext) -> ReplyAnswerer:
    """What makes replies, by the settings."""
    settings = context.settings
    kept = clients.replies(settings, context.redis)
    conversations = clients.conversations(settings, context.redis)
    parts, codec = clients.publisher(settings, f"{context.worker_id}-parts"), context.codec()
    context.stack.callback(parts.close)

    def say(part: ReplyMessage) -> None:
        """Nobody misses a part: the whole reply comes."""
        with suppress(Unavailable, TooLarge):
            data = codec.encode(topics.REPLIES, part)
            parts.publish(topics.REPLIES, part.user_id.encode(), data)
            kept.put_part(MadeReply(part, "", ""))

    return ReplyAnswerer(
        context.edges(),
        ReplyShelf(kept.keep, conversations.turns, conversations.add),
        CatalogueMirror(context.store, context.partitions[topics.ITEMS]).refresh,
        worker_id=context.worker_id,
        rules=saying_rules(settings.replies, settings.encoder.device),
        say=say,
    )


def saying_rules(settings: RepliesSettings, device: str) -> SayingRules:
    """``device``: of a classifier.

    Raises UserError when the file of rules cannot be read, EncoderUnavailable.
    """
    rules = blocks(settings.rules_file)
    if settings.classifier:
        classifier = load_text_classifier(settings.classifier, device)
        limit = settings.classifier_limit
        rules = replace(rules, classifier=classifier, classified_from=limit)
    return SayingRules(
        int(settings.max_wait_s * 1000),
        rules,
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
