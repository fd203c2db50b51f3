"""A learner whose weights are the list of what it learned, and whose skill is scripted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from streamrec.core.events import Item
from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import item_from_record, item_record
from streamrec.errors import GenerationRefused
from streamrec.models import generation
from streamrec.ports import LearnReport, Provenance, Scorer, Sealed, ShadowResult
from streamrec.tasks.ranking.examples import RankingExample

Identity = tuple[int, int, int]


def identity(example: RankingExample) -> Identity:
    return (example.partition, example.offset, example.index)


class FakeScorer:
    """Gives the accepted candidates ``skill`` and the others 1 - ``skill``."""

    def __init__(self, learned: Sequence[Identity], skill: float) -> None:
        self.learned = list(learned)
        self.skill = skill
        self.scored: list[Identity] = []

    def score(self, examples: Sequence[RankingExample]) -> list[FloatArray]:
        self.scored += map(identity, examples)
        return [
            np.where(e.labels_C > 0, self.skill, 1 - self.skill).astype(np.float32)
            for e in examples
        ]


class FakeLearner:
    """``skill_of`` says how good the weights are after so many examples.

    A call of ``learn`` with an example whose identity is in ``poison`` gives a NaN loss and
    ruins the weights.
    """

    def __init__(self, skill_of: Callable[[int], float] = lambda n: 0.7) -> None:
        self.learned: list[Identity] = []
        self.calls: list[list[Identity]] = []
        self.forgotten: list[tuple[str, int]] = []  # with the count learned before
        self.poison: set[Identity] = set()
        self.ruined = False
        self.carried = 0  # how often a save of another shape was taken over
        self.items: dict[str, Item] = {}
        self.shadow_results: tuple[ShadowResult, ...] = ()  # reported by the next call of ``learn``
        self._skill_of = skill_of

    def learn(self, examples: Sequence[RankingExample]) -> LearnReport:
        ids = [identity(e) for e in examples]
        self.calls.append(ids)
        self.learned += ids
        self.ruined |= bool(self.poison & set(ids))
        loss = float("nan") if self.ruined else 1.0 / len(self.learned)
        shadow_results, self.shadow_results = self.shadow_results, ()
        return LearnReport(len(ids), 1, 0, {"rank": loss}, shadow_results=shadow_results)

    def forget(self, user_id: str) -> int:
        self.forgotten.append((user_id, len(self.learned)))
        return 1

    def snapshot(self) -> FakeScorer:
        return FakeScorer(self.learned, self._skill_of(len(self.learned)))

    def write_generation(self, scorer: Scorer, directory: Path) -> None:
        assert isinstance(scorer, FakeScorer)
        text = json.dumps({"learned": scorer.learned, "skill": scorer.skill})
        (directory / "weights.json").write_text(text)

    def save(self, directory: Path) -> None:
        items = [item_record(item) for item in self.items.values()]
        text = json.dumps({"learned": self.learned, "ruined": self.ruined, "items": items})
        (directory / "learner.json").write_text(text)

    def load(self, directory: Path) -> list[Item]:
        state = json.loads((directory / "learner.json").read_text())
        self.learned = [(p, o, i) for p, o, i in state["learned"]]
        self.ruined = state["ruined"]
        before = {item.item_id: item for item in self.restore_items(directory)}
        return [item for item in self.items.values() if before.get(item.item_id) != item]

    def carry_over(self, directory: Path) -> list[Item]:
        """Everything fits: what is learned has no shape here."""
        self.carried += 1
        return self.load(directory)

    def begin_from(self, generation: Path) -> None:
        weights = json.loads((generation / "weights.json").read_text())
        self.learned = [(p, o, i) for p, o, i in weights["learned"]]

    def restore_items(self, directory: Path) -> list[Item]:
        state = json.loads((directory / "learner.json").read_text())
        saved = [item_from_record(record) for record in state["items"]]
        self.items = {item.item_id: item for item in saved} | self.items
        return saved

    def add_items(self, items: Sequence[Item]) -> list[Item]:
        new_items = [item for item in items if self.items.get(item.item_id) != item]
        self.items |= {item.item_id: item for item in items}
        return new_items


class FakeGenerations:
    """``ports.Generations`` over what ``FakeLearner`` writes. ``update_norm`` is scripted."""

    def __init__(self) -> None:
        self.update_norm = 0.1
        self.unloadable: set[str] = set()

    def seal(self, directory: Path, provenance: Provenance) -> Sealed:
        weights = (directory / "weights.json").read_text()
        name = f"g{provenance.sequence:06d}-{abs(hash(weights)) % 16**8:08x}"
        manifest = json.dumps(asdict(provenance) | {"generation": name})
        (directory / "manifest.json").write_text(manifest)
        sealed = replace(generation.draft(provenance, feature_set="f"), generation=name)
        return Sealed(sealed, f"digest of {name}")

    def scorer(self, directory: Path) -> FakeScorer:
        manifest = json.loads((directory / "manifest.json").read_text())
        if manifest["generation"] in self.unloadable:
            raise GenerationRefused(f"{manifest['generation']}: a file was changed")
        weights = json.loads((directory / "weights.json").read_text())
        return FakeScorer([(p, o, i) for p, o, i in weights["learned"]], weights["skill"])

    def norms(self, directory: Path, champion: Path | None) -> Mapping[str, float]:
        assert (directory / "weights.json").is_file()
        return {"update_norm/head": self.update_norm} if champion else {}


class ManifestGenerations(FakeGenerations):
    """The same with manifests as they are: ``shape`` gives the settings of the encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder: dict[str, object] = {}
        self.version_0_1 = False  # which did not write how much was learned

    def seal(self, directory: Path, provenance: Provenance) -> Sealed:
        sealed = super().seal(directory, provenance)
        draft = generation.draft(provenance, feature_set="f", settings={"encoder": self.encoder})
        training = dict(draft.training)
        if self.version_0_1:
            training = {n: training[n] for n in ("batches", "examples", "holes", "epoch")}
        made = replace(draft, generation=sealed.generation, training=training)
        (directory / "manifest.json").write_text(made.to_json())
        return sealed
