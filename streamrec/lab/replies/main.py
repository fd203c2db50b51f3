"""Replies in the laboratory, put together: files, the language model, people, a registry.

Loads torch and the language model.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamrec.apps import clients
from streamrec.apps.replies_task import replies_generations, writing_settings
from streamrec.core.events import Item
from streamrec.core.release.manifest import last_sequence
from streamrec.core.replies.names import Names
from streamrec.core.tasks import REPLIES
from streamrec.errors import GenerationRefused, UserError
from streamrec.infra.clock import SystemClock
from streamrec.infra.stores.registry_store import open_registry
from streamrec.lab.replay.recorded_main import read_events, read_items
from streamrec.lab.replies.people import tastes
from streamrec.lab.replies.plan import RepliesPlan
from streamrec.lab.replies.questions import questions
from streamrec.lab.replies.replay import RepliesReplay
from streamrec.lab.replies.report import report_of
from streamrec.lab.replies.second_look import Titles
from streamrec.lab.replies.start import StartConfig, train_start
from streamrec.models.causal import CausalModel, load_causal
from streamrec.ports import Provenance
from streamrec.settings import Settings
from streamrec.tasks.replies.model.learner import RepliesConfig, RepliesLearner

FIRST_WORDS = "first_words"
"""In the settings of a manifest: this generation was trained before anybody was asked."""

Progress = Callable[[int, int, str], None]


def run_replies_replay(
    settings: Settings, plan: RepliesPlan, on_progress: Progress
) -> dict[str, Any]:
    """The report of one pass.

    Raises:
        BadFile: a file or a line in it cannot be used.
        UserError: a stream with too few people who had something, a start that does not fit.
        EncoderUnavailable, SettingsError: the language model cannot be made.
    """
    if plan.events is None or plan.questions < 5:
        raise UserError("a replay of replies needs --events, and at least 5 questions")
    codec = clients.codec(settings)
    items, events = read_items(plan.items, codec), read_events(plan.events, codec)
    try:
        asked = questions(items, events, plan.questions, plan.seed)
    except ValueError as error:
        raise UserError(f"{plan.events}: {error}") from None
    settings = writing_settings(settings)
    model, started_s = load_causal(settings.encoder), time.process_time()
    _start(model, items, plan, on_progress)
    people, titles = tastes(plan.seed), Titles(items)
    replay = RepliesReplay(model, Names(items), people, plan.seed, RepliesConfig())
    arms = replay.run(asked, on_progress)
    return {
        "task": REPLIES,
        "seed": plan.seed,
        "model": model.base_name,
        **report_of(arms, asked, titles, people, plan.seed),
        "processor_s": time.process_time() - started_s,
    }


def run_first_words(
    settings: Settings, plan: RepliesPlan, registry: str, on_progress: Progress
) -> dict[str, Any]:
    """Train the adapter that replies start from, over the catalogue; it is a generation then.

    Raises BadFile, UserError, EncoderUnavailable, SettingsError.
    """
    items = read_items(plan.items, clients.codec(settings))
    settings = writing_settings(settings)
    model, started_s = load_causal(settings.encoder), time.process_time()
    loss = _trained(model, items, plan, on_progress)
    took_s = time.process_time() - started_s
    made = {"items": len(items), "seed": plan.seed, "nats_per_token": loss, "processor_s": took_s}
    url = registry or clients.registry_url(settings, REPLIES)
    store = open_registry(url, settings.state_dir / "registry-cache")
    learner = RepliesLearner(model)
    with tempfile.TemporaryDirectory(prefix="streamrec-replies-") as scratch:
        directory = Path(scratch)
        learner.write_generation(learner.snapshot(), directory)
        sequence = last_sequence(store.generations()) + 1
        born = Provenance(
            sequence, None, {}, {}, (0, 0), 0, None, SystemClock().now_ms()
        )  # fmt: skip
        sealed = replies_generations(settings, model, {FIRST_WORDS: made}).seal(directory, born)
        store.put(sealed.generation, directory)
    return {**made, "generation": sealed.generation, "registry": url}


def _start(model: CausalModel, items: list[Item], plan: RepliesPlan, on_progress: Progress) -> None:
    if plan.start is None:
        _trained(model, items, plan, on_progress)
        return
    try:
        model.load_adapter(plan.start)
    except GenerationRefused as error:
        raise UserError(f"--start {plan.start}: {error}") from error


def _trained(
    model: CausalModel, items: list[Item], plan: RepliesPlan, on_progress: Progress
) -> float:
    def tell(done: int, of: int, loss: float) -> None:
        on_progress(done, of, f"first words, {loss:.2f} nats a token")

    return train_start(model, items, plan.seed, StartConfig(plan.steps), tell)
