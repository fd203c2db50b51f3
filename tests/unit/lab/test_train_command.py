"""``streamrec train`` from files to a generation that a learner goes on from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamrec.apps.model import Model, load_model
from streamrec.cli.app import main
from streamrec.errors import UserError
from streamrec.infra.stores.registry_store import DirectoryRegistry
from streamrec.lab.replay.offline import Offline, Schedule
from streamrec.lab.replay.offline_main import TrainPlan, run_training
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.recorded_main import read_events, read_items
from streamrec.lab.replay.time_split import time_split
from streamrec.settings import Settings, load
from streamrec.tasks.ranking.example_maker import RankingRules
from tests.fakes.language_models import save_tiny_model
from tests.harness.codec import wire_codec
from tests.unit.lab.test_replay_command import write

ITEMS = [{"item_id": f"i{n}", "title": f"word{n}", "categories": [f"c{n % 2}"]} for n in range(40)]


def taste(events: int = 1_500) -> list[dict[str, object]]:
    """Odd users click odd items, and again the neighbours of what they clicked last."""
    rng = np.random.default_rng(0)
    made: list[dict[str, object]] = []
    for n in range(events):
        user = int(rng.integers(20))
        item = (2 * int(rng.integers(20)) + user % 2) % 40
        common = {"user_id": f"u{user}", "occurred_at": 1_600_000_000 + 60 * n}
        made.append(common | {"event_id": f"e{n}", "item_id": f"i{item}", "kind": "click"})
    return made


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    model = save_tiny_model("bert", tmp_path_factory.mktemp("model"))
    return load({"STREAMREC_ENCODER_MODEL": str(model)})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("stream")
    items = write(directory / "items.jsonl", ITEMS)
    return items, write(directory / "events.jsonl", taste())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(
    settings: Settings, files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, object], DirectoryRegistry]:
    registry = tmp_path_factory.mktemp("registry")
    plan = TrainPlan(*files, schedule=Schedule(epochs=3), registry=str(registry))
    return run_training(settings, plan), DirectoryRegistry(registry)


def test_what_was_learned_shows_on_the_test_part(trained) -> None:
    report, _ = trained
    assert report["split"] == {"train": 1_200, "validation": 150, "test": 150, "examples": 1_200}
    assert report["epochs"][0]["number"] == 0
    before, after = (report["test"][side]["next_click"] for side in ("before", "after"))
    assert before["n"] == after["n"] == 150
    assert after["ndcg@10"] > before["ndcg@10"]
    ndcg = report["test"]["difference"]["next_click"]["ndcg@10"]
    assert ndcg["mean"] == pytest.approx(after["ndcg@10"] - before["ndcg@10"])
    assert ndcg["low"] <= ndcg["mean"] <= ndcg["high"]


def new_model(settings: Settings, seed: int) -> Model:
    return load_model(replace(settings, trainer=replace(settings.trainer, seed=seed)))


def test_a_learner_goes_on_from_the_generation(trained, settings, files, tmp_path) -> None:
    """Same scores as the generation at the start; others once it has learned more."""
    report, registry = trained
    model = new_model(settings, seed=5)
    learner = model.learner
    untrained = learner.snapshot()
    model.start_from(registry, report["generation"])
    codec = wire_codec()
    items, events = read_items(files[0], codec), read_events(files[1], codec)
    split = time_split([e.occurred_at_ms for e in events], (0.8, 0.1, 0.1))
    offline = Offline(RecordedStream(items, events), split, model.catalogue, RankingRules())
    examples = offline.examples()
    scorer = model.generations().scorer(registry.get(report["generation"]))
    theirs, ours = scorer.score(examples[-20:]), learner.snapshot().score(examples[-20:])
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    start = untrained.score(examples[-20:])
    assert not all(np.allclose(one, other) for one, other in zip(start, theirs, strict=True))
    assert learner.learn(examples[:256]).steps == 8
    moved = learner.snapshot().score(examples[-20:])
    assert not all(np.allclose(one, other) for one, other in zip(moved, theirs, strict=True))
    drift = np.mean([np.abs(a - b).mean() for a, b in zip(moved, theirs, strict=True)])
    from_nothing = np.mean([np.abs(a - b).mean() for a, b in zip(start, theirs, strict=True)])
    assert drift < from_nothing


def test_a_generation_of_another_model_or_none_is_no_start(trained, settings, tmp_path) -> None:
    report, registry = trained
    with pytest.raises(UserError, match="is not in the registry"):
        new_model(settings, seed=0).start_from(registry, "g000009-00000000")
    other = load({"STREAMREC_ENCODER_MODEL": str(save_tiny_model("bert", tmp_path, seed=3))})
    with pytest.raises(UserError, match="adapts another base model"):
        new_model(other, seed=0).start_from(registry, report["generation"])


def test_the_manifest_says_how_it_was_made(trained) -> None:
    report, registry = trained
    manifest = json.loads((registry.get(report["generation"]) / "manifest.json").read_text())
    offline = manifest["settings"]["offline"]
    assert offline["best_epoch"] == report["best_epoch"] > 0
    assert offline["test"]["after"] == report["test"]["after"]
    assert manifest["training"]["examples"] == 1_200 * report["best_epoch"]


def test_learning_stops_when_it_does_not_help_any_more(settings, files, tmp_path) -> None:
    """A validation that gets worse every epoch ends it after ``patience`` of them."""
    gains = iter([0.3, 0.5, 0.4, 0.3, 0.2, 0.1])

    class Judged(Offline):
        def _validate(self, scorer):
            return "ndcg@10", next(gains)

    codec = wire_codec()
    stream = RecordedStream(read_items(files[0], codec), read_events(files[1], codec)[:100])
    split = time_split([e.occurred_at_ms for e in stream.events], (0.8, 0.1, 0.1))
    model = new_model(settings, seed=0)
    judged = Judged(stream, split, model.catalogue, RankingRules())
    fitted = judged.fit(model.learner, Schedule(9, patience=2))
    assert [epoch.number for epoch in fitted.epochs] == [0, 1, 2, 3]
    assert fitted.best.number == 1


@pytest.fixture
def command(monkeypatch, settings, tmp_path):
    """The command's exit code."""
    monkeypatch.setenv("STREAMREC_ENCODER_MODEL", settings.encoder.model)
    monkeypatch.setenv("STREAMREC_STATE_DIR", str(tmp_path / "state"))

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["train", *arguments])
        return int(ended.value.code or 0)

    return run


def test_the_command_prints_a_table_and_writes_a_report(command, files, tmp_path, capsys) -> None:
    report = tmp_path / "report.json"
    arguments = [f"--items={files[0]}", f"--events={files[1]}", "--first=400", "--epochs=1"]
    assert command(*arguments, "--fast-only", f"--report={report}") in (0, 1)
    written = json.loads(report.read_text())
    shown = capsys.readouterr().out
    assert "untrained" in shown
    assert f"{written['test']['after']['next_click']['ndcg@10']:.4f}" in shown
    assert (written["generation"] is None) == (written["best_epoch"] == 0)
    if written["generation"]:
        assert (tmp_path / "state" / "registry" / written["generation"]).is_dir()


def test_a_bad_line_ends_it_with_code_2_and_its_number(command, files, tmp_path, capsys) -> None:
    lines = files[1].read_text().splitlines()
    bad = tmp_path / "bad.jsonl"
    bad.write_text("\n".join([*lines[:4], '{"event_id": 1}', *lines[4:]]))
    assert command(f"--items={files[0]}", f"--events={bad}") == 2
    assert "bad.jsonl line 5" in capsys.readouterr().err
    assert command(f"--items={files[0]}", f"--events={tmp_path / 'none'}") == 2


@pytest.mark.parametrize("split", ["0.8,0.1", "0.8,0.1,0.2", "a,b,c", "1,0,0"])
def test_an_impossible_split_is_refused(command, files, split, capsys) -> None:
    assert command(f"--items={files[0]}", f"--events={files[1]}", f"--split={split}") == 1
    assert "0.8,0.1,0.1" in capsys.readouterr().err


def test_nothing_to_train_on_is_said(command, files, capsys) -> None:
    assert command() == 1
    assert "--items and --events" in capsys.readouterr().err
    assert command("--dataset=nothing") == 1
    assert "movielens-100k" in capsys.readouterr().err


def test_recipes_are_listed_with_what_was_measured(command, capsys) -> None:
    assert command("--recipe=list") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "fgm" in shown
    assert "-0.0046" in shown
    assert command("--recipe=sgd,fmg", "--dataset=nothing") == 1
    assert "no recipe fmg; there are adafactor" in " ".join(capsys.readouterr().err.split())


def test_a_recipe_changes_what_is_learned_and_its_generation_is_one_like_any_other(
    settings, files, tmp_path
) -> None:
    plan = TrainPlan(*files, limit=400, schedule=Schedule(epochs=1), registry=str(tmp_path))
    found = [
        run_training(settings, replace(plan, recipes=recipes))
        for recipes in ((), ("fgm", "rate-cycles"))
    ]
    losses = [report["epochs"][1]["losses"] for report in found]
    assert losses[0]["encoder"] != losses[1]["encoder"]
    assert losses[0]["listwise"] != losses[1]["listwise"]
    assert found[1]["recipes"] == ["fgm", "rate-cycles"]
    assert (found[1]["generation"] is None) == (found[1]["best_epoch"] == 0)


def test_of_an_adapter_method_that_the_loop_has_not_no_generation_is_written(
    settings, files, tmp_path
) -> None:
    plan = TrainPlan(*files, schedule=Schedule(epochs=1), registry=str(tmp_path), recipes=("ia3",))
    report = run_training(settings, plan)
    assert report["best_epoch"] == 1
    assert report["generation"] is None
    assert list(tmp_path.iterdir()) == []
