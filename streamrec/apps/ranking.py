"""The task ranking, put together: what each process that carries it is given.

Loads torch; the language model comes with ``training``, ``again`` and ``serving``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from streamrec.apps import clients, copy_task, trust
from streamrec.apps.model import Model, load_again, load_model
from streamrec.apps.worker_context import WorkerContext
from streamrec.core.events import Item
from streamrec.core.release.manifest import Manifest
from streamrec.core.tasks import COPY, REPLIES
from streamrec.core.variants.beta import BetaPrior
from streamrec.core.variants.traffic import PriorsOf
from streamrec.infra.stores.assignments import RedisAssignments
from streamrec.loop.releasing.fleet_watch import SERVING
from streamrec.models.data_parallel import Ranks
from streamrec.models.generation import made_with
from streamrec.models.hotswap import WarmGenerations
from streamrec.models.loading import load_encoder
from streamrec.models.vector_cache import VectorCache
from streamrec.models.weight_changes import changes
from streamrec.ports import ExampleSource, Serving, Training
from streamrec.settings import Settings
from streamrec.tasks.copy.model.served import ServedPriors
from streamrec.tasks.ranking.candidates.switch import candidates_from
from streamrec.tasks.ranking.drift import ShiftRules, ShiftWatch
from streamrec.tasks.ranking.example_maker import example_source
from streamrec.tasks.ranking.examples import check
from streamrec.tasks.ranking.gate_metrics import RankingGateRules, RankingJudge
from streamrec.tasks.ranking.lists.asked import QueryReader
from streamrec.tasks.ranking.lists.explainer import Explainer
from streamrec.tasks.ranking.lists.exploration import Exploration
from streamrec.tasks.ranking.lists.lists import ListAnswerer
from streamrec.tasks.ranking.lists.shown_lists import ShownLists
from streamrec.tasks.ranking.lists.state_mirror import Mirror
from streamrec.tasks.ranking.lists.wording import Wording
from streamrec.tasks.ranking.model.served import hot_swap

DRAWN_EVERY_MS = 1
"""Where no wording is kept for a user."""


@dataclass(frozen=True, slots=True)
class RankingTask:
    """``ports.Task``: which items, in which order.

    ``ranks``: processes that train together. ``load``: makes a model; None: as the settings say.
    """

    ranks: Ranks | None = None
    load: Callable[[Settings], Model] | None = None

    @property
    def examples(self) -> ExampleSource:
        return example_source()

    def training(self, context: WorkerContext) -> Training:
        """The model on the weights that the settings want to start from, closed in the end."""
        settings = context.settings
        kept = vector_cache(settings)
        model = load_model(settings, self.ranks, kept=kept)
        context.stack.callback(model.learner.close)
        start_from = settings.trainer.start_from or None
        if start_from:
            model.start_from(context.registry_store(), start_from)
        return replace(trained(model, start_from), gauges=kept.gauges)

    def again(self, settings: Settings, manifest: Manifest) -> Training:
        return trained(load_again(settings, manifest, self.load or load_model))

    def serving(self, context: WorkerContext) -> Serving:
        settings, wordings = context.settings, copy_task.priors(context.settings)
        answerer = list_answerer(context, lambda item: expected_of(wordings, item))
        kept, signers = vector_cache(settings), trust.signers(settings)
        encoder = load_encoder(settings.encoder, kept=kept)
        least = candidates_from(settings.serving.scored)
        swap = hot_swap(encoder, answerer.catalogue, signers, settings.encoder, least)
        return Serving(
            answerer,
            swap,
            {COPY: wordings},
            gauges=lambda: {**kept.gauges(), **answerer.gauges},
        )


def vector_cache(settings: Settings) -> VectorCache:
    """Shared by all workers of this host."""
    return VectorCache(settings.state_dir / "vectors")


def trained(model: Model, start_from: str | None = None) -> Training:
    """What a trainer asks of a model."""
    given = model.settings.alarm
    rules = ShiftRules(given.window, given.reference, calm=given.calm)
    return Training(
        learner=model.learner,
        generations=model.generations(),
        judge=RankingJudge(RankingGateRules()),
        check=check,
        watch=ShiftWatch(rules, model.catalogue.categories_of) if rules.window else None,
        clicks=True,
        start_from=start_from,
        made_with=made_with(model.encoder),
        distance=changes,
        new_start=model.new_start,
    )


def expected_of(wordings: WarmGenerations[ServedPriors], item: Item) -> Sequence[BetaPrior] | None:
    """What copy's champion expects of an item's wordings; None without one."""
    champion = wordings.active
    return None if champion is None else champion.priors_of(item)


def list_answerer(context: WorkerContext, priors: PriorsOf = lambda _: None) -> ListAnswerer:
    """What makes lists, by the settings. ``priors``: of an item's wordings."""
    serving = context.settings.serving
    stable_s = context.settings.copy.stable_s
    shown = clients.shown_lists(context.settings, context.redis)
    return ListAnswerer(
        context.edges(),
        Mirror(context.store, context.partitions),
        worker_id=context.worker_id,
        k=serving.k,
        exploration=Exploration(serving.explore),
        explainer=explainer(context),
        reader=QueryReader(expected=lambda: _replies_are_made(context)),
        shown=ShownLists(shown.turns, shown.add),
        wording=Wording(
            RedisAssignments(context.redis, context.settings.redis.key_prefix, stable_s).hold,
            int(stable_s * 1000) or DRAWN_EVERY_MS,
            priors,
        ),
    )


def _replies_are_made(context: WorkerContext) -> bool:
    """Whether somebody answers in words."""
    workers = clients.fleet(context.settings, context.redis, REPLIES).workers()
    return any(worker.role == SERVING for worker in workers)


def explainer(context: WorkerContext) -> Explainer:
    """Reasons for every item; explanations kept as long as the settings say."""
    if not context.settings.serving.explain_s:
        return Explainer()
    return Explainer(clients.explanations(context.settings, context.redis))
