"""What each adapter method and recipe is worth: adapters, optimisers, regularisers, one line each.

    python -m benchmarks.menu [--dataset DIRECTORY] [--events 10000] [--lines 'lora;dora' …]
                              [--out menu.jsonl] [--seed 0] [--publish-steps 64] [--table]

DIRECTORY holds movies.dat and ratings.dat (MovieTweetings), or items.jsonl and events.jsonl;
without it, MovieLens 100K is fetched. A line is one pass of ``streamrec replay`` of head
and adapter (predict, then learn; full catalogue); only the second half is predicted, to save time.
An encoder is published every 64 steps instead of 128, so that even a short stream sees a few,
and taken into use as it is; only *challenged* lines make it beat the one before, as the loop does.
*thin* lines have the head of the baseline *frozen*: cosine, live popularity, click rate.

Each finished line is appended to the file at once, with the rank of every prediction; run the
command again and it goes on with what is missing. ``--table`` prints what is there. NDCG@10;
differences are paired over the same events by bootstrap over users, 95 %.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.datasets import movietweetings
from streamrec.apps import clients
from streamrec.core import topics
from streamrec.core.measures.prequential import NextClicks
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.user_state import UserState
from streamrec.errors import SettingsError
from streamrec.infra.stores.datasets import movielens_100k
from streamrec.infra.wire.codec import WireCodec
from streamrec.lab.measures.leaderboard import second_half
from streamrec.lab.measures.significance import paired_bootstrap
from streamrec.lab.recipes.adapter_averaging import MeanOfRecent, mean_state
from streamrec.lab.recipes.names import chosen
from streamrec.lab.replay.contest import ReplayScorer
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.recorded_main import read_events, read_items
from streamrec.lab.replay.replay import Replay, ReplayOptions
from streamrec.models.encoder import TextEncoder
from streamrec.models.item_index import ItemIndex
from streamrec.models.loading import load_encoder
from streamrec.models.lora import Adapt
from streamrec.ports import LearnReport
from streamrec.settings import EncoderSettings, Settings, load
from streamrec.tasks.ranking.examples import RankingExample
from streamrec.tasks.ranking.features import FeatureMaker
from streamrec.tasks.ranking.model.config import learner_config
from streamrec.tasks.ranking.model.head_trainer import HeadConfig
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner

THIN = HeadConfig(inputs=("sim_decayed", "sim_mean", "accepts_5000ev", "rate_5000ev"), hidden=False)


@dataclass(frozen=True, slots=True)
class Line:
    """Settings without their prefix, the head beside it, and recipes of the laboratory."""

    settings: Mapping[str, str] = field(default_factory=dict)
    thin: bool = False
    recipes: tuple[str, ...] = ()

    @property
    def learns(self) -> bool:
        """Whether anything of the encoder does."""
        return self.settings.get("ENCODER_ADAPTER") != "none"


UNTRIED = {"LEARNING_CHALLENGE": "no"}

LINES: Mapping[str, Line] = {
    "head only": Line({"ENCODER_ADAPTER": "none"}),
    "lora": Line(),
    "thin, head only": Line({"ENCODER_ADAPTER": "none"}, thin=True),
    "thin, lora": Line(thin=True),
    "lora, hide_tokens 0.15": Line(recipes=("hidden-tokens",)),
    "lora, fgm 0.05": Line(recipes=("fgm",)),
    "lora, average 3": Line(recipes=("adapter-averaging",)),
    "lora, shuffle_text": Line(recipes=("shuffled-text",)),
    "lora, rate 5e-5": Line({"LEARNING_RATE": "5e-5"}),
    "lora, sgd": Line(recipes=("sgd",)),
    "lora, adafactor": Line(recipes=("adafactor",)),
    "lora, rate 1e-3": Line({"LEARNING_RATE": "1e-3"}),
    "lora, weight_decay 0.1": Line({"LEARNING_WEIGHT_DECAY": "0.1"}),
    "lora, bfloat16": Line({"LEARNING_PRECISION": "bfloat16"}),
    "lora, 48 examples a step": Line({"LEARNING_EXAMPLES": "48"}),
    "lora, challenged": Line({"LEARNING_CHALLENGE": "yes"}),
    "lora, challenged, 48 examples": Line({"LEARNING_CHALLENGE": "yes", "LEARNING_EXAMPLES": "48"}),
    "lora, accumulate 4": Line({"LEARNING_ACCUMULATE": "4"}),
    "lora, dropout 0.1": Line({"ENCODER_DROPOUT": "0.1"}),
    "dora": Line({"ENCODER_ADAPTER": "dora"}),
    "ia3": Line(recipes=("ia3",)),
    "ia3, rate 5e-3": Line({"LEARNING_RATE": "5e-3"}, recipes=("ia3",)),
    "adalora": Line(recipes=("adalora",)),
    "last-layers": Line(recipes=("last-layers",)),
    "last-layers, rate 2e-5": Line({"LEARNING_RATE": "2e-5"}, recipes=("last-layers",)),
    "lora, rank 2": Line({"ENCODER_RANK": "2"}),
    "lora, rank 32": Line({"ENCODER_RANK": "32", "ENCODER_ALPHA": "64"}),
    "full, rate 2e-5": Line({"ENCODER_ADAPTER": "full", "LEARNING_RATE": "2e-5"}),
    "prefix": Line(recipes=("prefix",)),
}
REFERENCE = "lora"


def settings_of(names: Mapping[str, str]) -> Settings:
    """The usual ones with these changed, also where no operator can."""
    settings = Settings()
    for name, text in names.items():
        group, _, key = name.lower().partition("_")
        owner = getattr(settings, group)
        kind = type(getattr(owner, key))
        value = text == "yes" if kind is bool else kind(text)
        settings = replace(settings, **{group: replace(owner, **{key: value})})
    return settings


class SecondHalf:
    """A learner whose snapshots rank nothing before a moment: that half is not looked at."""

    def __init__(self, learner: OnlineLearner, from_ms: int) -> None:
        self._learner, self._from_ms = learner, from_ms

    def learn(self, examples: Sequence[RankingExample]) -> LearnReport:
        return self._learner.learn(examples)

    def snapshot(self) -> ReplayScorer:
        return _Late(self._learner.snapshot(), self._from_ms)


class _Late:
    def __init__(self, scorer: Any, from_ms: int) -> None:
        self._scorer, self._from_ms = scorer, from_ms

    def score(self, examples: Sequence[RankingExample]) -> list[np.ndarray]:
        if not examples or examples[0].shown_at_ms < self._from_ms:
            return [np.full(len(e.candidates), 0.5, np.float32) for e in examples]
        return self._scorer.score(examples)

    def rank(
        self,
        users: Sequence[UserState],
        now_ms: Sequence[int],
        features: FeatureMaker,
        queries: Sequence[str] = (),
    ) -> np.ndarray:
        if now_ms[0] < self._from_ms:
            return np.zeros((len(users), len(features.item_NI)), np.float32)
        return self._scorer.rank(users, now_ms, features, queries)


class Lines:
    """One stream; encoders and their first index by settings, the last one kept."""

    def __init__(self, stream: RecordedStream, seed: int, publish_steps: int) -> None:
        self._stream, self._seed, self._publish_steps = stream, seed, publish_steps
        self._made: tuple[Any, Catalogue, TextEncoder, ItemIndex] | None = None

    def measure(self, line: Line) -> dict[str, Any]:
        """Raises SettingsError when the combination is refused."""
        wanted = UNTRIED | line.settings if line.learns else line.settings
        settings = settings_of(wanted | {"TRAINER_SEED": str(self._seed)})
        recipes = chosen(line.recipes)
        catalogue, encoder, index = self._encoder(recipes.encoder(settings.encoder), recipes.method)
        recipe = recipes.learning(learner_config(settings, encoder))
        mean = MeanOfRecent()
        assert recipe.adapter is not None
        recipe = replace(recipe, adapter=replace(recipe.adapter, publish_steps=self._publish_steps))
        if recipe.adapter.publisher is MeanOfRecent:
            recipe = replace(recipe, adapter=replace(recipe.adapter, publisher=lambda: mean))
        if line.thin:
            recipe = replace(recipe, head=THIN)
        if not encoder.trainable_parameters():
            recipe = replace(recipe, adapter=None)
        found = self._replay(recipe, catalogue, encoder, index)
        averaged = {"averaged": len(mean.recent), "product_error": product_error(mean.recent)}
        return averaged | found

    def _replay(
        self, recipe: LearnerConfig, catalogue: Catalogue, encoder: TextEncoder, index: ItemIndex
    ) -> dict[str, Any]:
        learner = OnlineLearner(catalogue, index, self._seed, recipe, encoder)
        middle = self._stream.events[len(self._stream.events) // 2]
        late = SecondHalf(learner, middle.occurred_at_ms)
        began, cpu = time.perf_counter(), time.process_time()
        replay = Replay(self._stream, catalogue, late, ReplayOptions())
        replay.play()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        learner.close()
        made = [p for p in second_half(replay.predictions, replay.span) if p.rank]
        return {
            "numbers": [p.number for p in made],
            "users": [p.user_id for p in made],
            "ranks": [p.rank for p in made],
            "few": [p.item_accepts < 3 for p in made],
            "trained": sum(p.numel() for p in encoder.trainable_parameters()),
            "seconds": round(seconds, 1),
            "cpu_s": round(cpu, 1),
        }

    def _encoder(
        self, settings: EncoderSettings, method: Adapt
    ) -> tuple[Catalogue, TextEncoder, ItemIndex]:
        if self._made is None or self._made[0] != (settings, method):
            catalogue = Catalogue()
            catalogue.put(self._stream.items)
            encoder = load_encoder(settings, method=method)
            index = ItemIndex(encoder)
            index.ensure(catalogue)
            self._made = ((settings, method), catalogue, encoder, index)
        return self._made[1:]


def stream_of(dataset: Path | None, events: int, cache: Path) -> RecordedStream:
    if dataset is None:
        films = movielens_100k(cache, print)
        return RecordedStream(list(films.items), list(films.interactions[:events]))
    codec = clients.codec(load({}))
    if (dataset / "movies.dat").exists():
        items, rows = movietweetings(dataset)
        return RecordedStream(
            [_decoded(codec, topics.ITEMS, item) for item in items],
            [_decoded(codec, topics.EVENTS, row) for row in rows[:events]],
        )
    items_read = read_items(dataset / "items.jsonl", codec)
    return RecordedStream(items_read, read_events(dataset / "events.jsonl", codec)[:events])


def _decoded(codec: WireCodec, topic: str, row: Mapping[str, Any]) -> Any:
    return codec.decode(topic, json.dumps(row).encode())


def product_error(states: Sequence[Mapping[str, torch.Tensor]]) -> float | None:
    """‖mean B mean A - mean BA‖ / ‖mean BA‖ over all low-rank layers of averaged adapters."""
    names = [n for n in states[0] if "lora_A" in n] if len(states) > 1 else []
    if not names:
        return None
    mean, error, size = mean_state(states), 0.0, 0.0
    for a in names:
        b = a.replace("lora_A", "lora_B")
        products = torch.stack([state[b] @ state[a] for state in states]).mean(0)
        error += float((mean[b] @ mean[a] - products).pow(2).sum())
        size += float(products.pow(2).sum())
    return (error / size) ** 0.5


def finished(out: Path, key: str) -> dict[str, dict[str, Any]]:
    """Lines of this stream and seed, by name."""
    if not out.exists():
        return {}
    rows = [json.loads(row) for row in out.read_text().splitlines()]
    return {row["line"]: row for row in rows if row["key"] == key}


def table(done: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    yield "| line | trained weights | HR@10 | NDCG@10 | MRR | against lora | processor, s |"
    yield "|---|---|---|---|---|---|---|"
    for name in LINES:
        row = done.get(name)
        if row is None:
            continue
        if "refused" in row:
            yield f"| {name} | refused: {row['refused']} | | | | | |"
            continue
        sums = NextClicks()
        for rank in row["ranks"]:
            sums = sums.add(rank)
        report = sums.report()
        yield (
            f"| {name} | {row['trained']:,} | {report['hr@10']:.4f} | {report['ndcg@10']:.4f} | "
            f"{report['mrr']:.4f} | {against(row, done.get(REFERENCE))} | {row['cpu_s']:.0f} |"
        )


def against(row: Mapping[str, Any], reference: Mapping[str, Any] | None) -> str:
    if reference is None or row["line"] == reference["line"]:
        return ""
    if row["numbers"] != reference["numbers"]:
        return "other events"
    users = {user: n for n, user in enumerate(dict.fromkeys(row["users"]))}
    compared = paired_bootstrap(
        np.array([users[user] for user in row["users"]]),
        gains(row["ranks"]),
        gains(reference["ranks"]),
        np.random.default_rng(0),
        resamples=2_000,
    )
    low, high = compared.difference_interval
    mark = "" if compared.significant else " ns"
    return f"{compared.difference:+.4f} [{low:+.4f}, {high:+.4f}]{mark}"


def gains(ranks: Sequence[int]) -> np.ndarray:
    return np.array([NextClicks().add(rank).ndcg_10 for rank in ranks])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", type=Path, default=None)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--lines", default="", help="only these, separated by ';'")
    parser.add_argument("--out", type=Path, default=Path("menu.jsonl"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--publish-steps", type=int, default=64, help="adapter steps between encoders"
    )
    parser.add_argument("--table", action="store_true", help="print what is there and end")
    options = parser.parse_args()
    torch.set_num_threads(1)
    name = options.dataset.name if options.dataset else "movielens-100k"
    key = f"{name} {options.events} seed {options.seed}"
    if options.publish_steps != parser.get_default("publish_steps"):
        key += f" publish {options.publish_steps}"
    done = finished(options.out, key)
    if not options.table:
        wanted = [one.strip() for one in options.lines.split(";") if one.strip()] or [*LINES]
        stream = stream_of(options.dataset, options.events, options.out.parent / "datasets")
        lines = Lines(stream, options.seed, options.publish_steps)
        for line in wanted:
            if line in done:
                continue
            try:
                row = lines.measure(LINES[line])
            except SettingsError as error:
                row = {"refused": str(error)}
            row = {"key": key, "line": line} | row
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            done[line] = row
            print(f"{line}: {row.get('refused') or str(row['cpu_s']) + ' s'}", flush=True)
    print(f"\n{key}, second half; {platform.machine()}, torch {torch.__version__}, one thread\n")
    for text in table(done):
        print(text)
    for name, row in done.items():
        if row.get("product_error") is not None:
            print(
                f"\n{name}: mean of the factors of {row['averaged']} adapters against the mean of "
                f"their products: relative error {row['product_error']:.2g}"
            )


if __name__ == "__main__":
    main()
