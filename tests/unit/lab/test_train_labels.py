"""``streamrec train --labels``: from labelled texts to an adapter that plain PEFT reads."""

from __future__ import annotations

import csv
import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamrec.cli.app import main
from streamrec.core.measures.proportions import wilson
from streamrec.errors import BadFile, UserError
from streamrec.lab.labels.checkpoint import CHECKPOINT
from streamrec.lab.labels.fitting import FitPlan
from streamrec.lab.labels.main import LabelsPlan, run_labels
from streamrec.lab.labels.parts import cut
from streamrec.lab.labels.probe import fitted, log_loss
from streamrec.lab.labels.rows import LabelledText, read_labels
from streamrec.settings import Settings, load
from tests.fakes.language_models import save_tiny_model

FAMILIES = ("bert", "llama")


def generated(count: int = 240, seed: int = 0) -> list[dict[str, Any]]:
    """Label 1 where word3 comes before word4: no bag of words knows it."""
    drawn = random.Random(seed)
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        words = [f"word{drawn.randrange(5, 60)}" for _ in range(6)]
        first, second = sorted(drawn.sample(range(6), 2))
        label = drawn.randrange(2)
        words[first], words[second] = ("word3", "word4") if label else ("word4", "word3")
        rows.append({"text": " ".join(words), "label": label})
    return rows


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    made = tmp_path_factory.mktemp("models")
    return {family: str(save_tiny_model(family, made / family)) for family in FAMILIES}


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("labels") / "labels.jsonl", generated())


@pytest.fixture
def settings() -> Settings:
    return load({})


def plan_of(labels: Path, out: Path, model: str, **fit: Any) -> LabelsPlan:
    return LabelsPlan(str(labels), out, model, FitPlan(**{"epochs": 3, "rate": 5e-3} | fit))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_card_s_own_code_answers_as_was_judged(
    family: str, models: dict[str, str], labels: Path, settings: Settings, tmp_path: Path
) -> None:
    """Plain PEFT and transformers, from the directory alone: the same right answers."""
    report = run_labels(settings, plan_of(labels, tmp_path / "out", models[family]))
    card = (tmp_path / "out" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.replace('directory = "."', f"directory = {str(tmp_path / 'out')!r}"), names)
    test = cut(read_labels(str(labels)), (0.8, 0.1, 0.1), 0).test
    right = [(names["probability"](row.text) > 0.5) == bool(row.label) for row in test]
    assert np.mean(right) == report["test"]["adapter"]["accuracy"]
    assert report["test"]["n"] == len(test)
    assert f"{report['test']['adapter']['accuracy']:.1%}" in card
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md", "report.json", "head.safetensors", "adapter_config.json",
        "adapter_model.safetensors",
    }  # fmt: skip


def test_what_no_frozen_vector_says_is_learned(
    models: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    labels = write(tmp_path / "labels.jsonl", generated(600))
    plan = plan_of(labels, tmp_path / "out", models["llama"], epochs=6, rate=1e-2)
    report = run_labels(settings, replace(plan, layers=4))
    first, best = report["epochs"][0], report["epochs"][report["best_epoch"]]
    assert best["dev_loss"] < first["dev_loss"]
    assert best["dev_loss"] == min(epoch["dev_loss"] for epoch in report["epochs"][1:])
    assert report["epochs"][1]["loss"] > report["epochs"][-1]["loss"]


@pytest.fixture(scope="module")
def whole(models: dict[str, str], labels: Path, tmp_path_factory) -> dict[str, Any]:
    """The report of a run that nobody disturbed."""
    plan = plan_of(labels, tmp_path_factory.mktemp("whole"), models["bert"], keep_s=0.0)
    return run_labels(load({}), plan)


class Killed(Exception):
    pass


@pytest.mark.parametrize("at", [2, 13, 24, 25])
def test_a_run_that_is_taken_up_again_ends_in_the_same_bits(
    at: int, whole: dict[str, Any], models: dict[str, str], labels: Path, tmp_path: Path
) -> None:
    """Ended after so many steps of 12 an epoch; kept after every step, as on a slow machine."""
    plan, steps = plan_of(labels, tmp_path / "cut", models["bert"], keep_s=0.0), 0

    def killing(doing: str, *_: object) -> None:
        nonlocal steps
        steps += doing.startswith("epoch")
        if steps == at:
            raise Killed

    with pytest.raises(Killed):
        run_labels(load({}), plan, advance=killing)
    with pytest.raises(UserError, match="--resume"):
        run_labels(load({}), plan)
    with pytest.raises(UserError, match="seed was 0, is 1"):
        run_labels(load({}), replace(plan, fit=replace(plan.fit, seed=1), resume=True))
    said: list[str] = []
    again = run_labels(load({}), replace(plan, resume=True), said.append)
    assert any(line.startswith("going on in epoch") for line in said) == (at > 1)
    assert (
        again["sha256"]["adapter_model.safetensors"] == whole["sha256"]["adapter_model.safetensors"]
    )
    assert again["sha256"]["head.safetensors"] == whole["sha256"]["head.safetensors"]
    assert again["test"] == whole["test"]
    assert not (tmp_path / "cut" / CHECKPOINT).exists()
    assert run_labels(load({}), replace(plan, resume=True)) == again
    with pytest.raises(UserError, match="holds an adapter already"):
        run_labels(load({}), plan)


def test_it_ends_early_and_keeps_the_best(
    models: dict[str, str], labels: Path, settings: Settings, tmp_path: Path
) -> None:
    """A rate far too high makes every later epoch worse."""
    plan = plan_of(labels, tmp_path / "out", models["bert"], epochs=9, patience=1, rate=0.3)
    report = run_labels(settings, plan)
    assert report["stopped_early"]
    assert len(report["epochs"]) - 1 == report["best_epoch"] + 1


def rows_of(labels: list[int], texts: list[str] | None = None) -> list[LabelledText]:
    texts = texts or [f"text {n}" for n in range(len(labels))]
    return [LabelledText(text, label) for text, label in zip(texts, labels, strict=True)]


def test_no_text_and_no_group_is_in_two_parts() -> None:
    drawn = random.Random(0)
    rows = [
        LabelledText(f"{'Text ' if n % 2 else ' text  '}{drawn.randrange(3_000)}", n % 2, group)
        for n in range(600)
        for group in [f"g{n % 100}" if n < 300 else ""]
    ]
    parts = cut(rows, (0.6, 0.2, 0.2), 3)
    every = [parts.train, parts.dev, parts.test]
    assert sum(map(len, every)) == 600
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert {row.key for row in every[one]}.isdisjoint(row.key for row in every[other])
        ours, theirs = ({row.group for row in every[n]} - {""} for n in (one, other))
        assert ours.isdisjoint(theirs)
    assert parts.repeated == 600 - len({row.key for row in rows})


def test_parts_have_their_shares_of_rows_and_of_ones() -> None:
    rows = rows_of([int(n % 4 == 0) for n in range(1_000)])
    counted = cut(rows, (0.8, 0.1, 0.1), 0).counted()
    assert {name: count["rows"] for name, count in counted.items()} == {
        "train": 800, "dev": 100, "test": 100,
    }  # fmt: skip
    assert {name: count["ones"] for name, count in counted.items()} == {
        "train": 200, "dev": 25, "test": 25,
    }  # fmt: skip
    one, other = (cut(rows, (0.8, 0.1, 0.1), seed) for seed in (1, 2))
    assert cut(rows, (0.8, 0.1, 0.1), 1) == one != other


@pytest.mark.parametrize(
    ("rows", "shares", "said"),
    [
        (rows_of([1] * 100), (0.8, 0.1, 0.1), "all 100 rows have label 1"),
        (rows_of([0, 1] * 20), (0.8, 0.1, 0.1), "too few rows: the dev part has 2 of label 0"),
        (rows_of([0, 1] * 100), (0.8, 0.1, 0.2), "three shares that sum to 1"),
        (rows_of([0, 1] * 100, ["same"] * 200), (0.8, 0.1, 0.1), "too few rows"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(rows, shares, said: str) -> None:
    with pytest.raises(UserError, match=said):
        cut(rows, shares, 0)


def test_files_of_every_kind_say_the_same(tmp_path: Path) -> None:
    rows = [{"text": 'a, "b"', "label": 1, "group": "g"}, {"text": "ç\nd", "label": 0, "group": ""}]
    write(tmp_path / "a.jsonl", rows)
    (tmp_path / "a.json").write_text(json.dumps(rows))
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["label", "text", "group", "other"])
        writer.writeheader()
        writer.writerows(rows)
    wanted = [LabelledText('a, "b"', 1, "g"), LabelledText("ç\nd", 0)]
    for name in ("a.jsonl", "a.json", "a.csv"):
        assert read_labels(str(tmp_path / name)) == wanted


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "a.jsonl",
            '{"text": "a", "label": 1}\n\n{"text": "b", "label": 2}\n',
            "line 3: label is 2",
        ),
        ("a.jsonl", '{"text": "a"}\n', "line 1: label is missing; it must be 0 or 1"),
        ("a.jsonl", '{"text": "a", "label": null}\n', "line 1: label is missing"),
        ("a.jsonl", '{"text": " ", "label": 1}\n', "line 1: text is ' '"),
        ("a.jsonl", '{"text": 7, "label": 1}\n', "line 1: text is 7"),
        ("a.jsonl", '{"text": "a", "label": 1\n', "line 1: not JSON"),
        ("a.jsonl", "[1]\n", "element 1|line 1"),
        ("a.jsonl", "text label\n" * 9, "line 3.*; and 6 more lines"),
        ("a.jsonl", "\n", "holds no row"),
        ("a.csv", "text,label\na,1\nb\n", "line 3: 1 cells where there are 2"),
        ("a.csv", "text,lable\na,1\n", "the header has no column label"),
        ("a.csv", "text,label\na,yes\n", "line 2: label is 'yes'"),
    ],
)
def test_a_bad_line_is_named(name: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadFile, match=said):
        read_labels(str(tmp_path / name))


def test_a_probe_finds_what_is_linear_and_no_more() -> None:
    drawn = np.random.default_rng(0)
    vectors_ND = drawn.normal(size=(400, 8))
    labels_N = (vectors_ND[:, 0] > 0).astype(np.float64)
    head, penalty = fitted(vectors_ND[:300], labels_N[:300], vectors_ND[300:], labels_N[300:])
    assert np.mean((head.logits(vectors_ND[300:]) > 0) == labels_N[300:]) > 0.95
    noise_N = drawn.integers(2, size=400).astype(np.float64)
    flat, strong = fitted(vectors_ND[:300], noise_N[:300], vectors_ND[300:], noise_N[300:])
    assert strong > penalty
    assert log_loss(flat.logits(vectors_ND[300:]), noise_N[300:]) < 0.75


def test_the_interval_of_a_share() -> None:
    """Numbers of Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for hits, of, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(hits, of) == pytest.approx((low, high), abs=5e-5)


@pytest.fixture
def command(monkeypatch, models, capsys):
    """Exit code, stdout and stderr."""
    monkeypatch.setenv("STREAMREC_ENCODER_MODEL", models["bert"])

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["train", *arguments])
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run


def test_the_command(command, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, shown, said = command("--labels", str(labels), "--out", str(out), "--epochs", "1")
    assert code == 0
    assert "majority" in shown
    assert f"adapter written to {out}" in shown
    assert "epoch 1: loss" in said
    code, shown, _ = command("--labels", str(labels), "--out", str(out), "--resume", "--json")
    assert json.loads(shown) == json.loads((out / "report.json").read_text())


MISTAKES = [
    (["--labels", "nowhere.jsonl"], 1, "nowhere.jsonl: No such file"),
    (["--labels", "LABELS", "--items", "x"], 1, "--items goes not with --labels"),
    (["--dataset", "movielens-100k", "--rank", "4"], 1, "--rank goes only with --labels"),
    (["--labels", "LABELS", "--model", "./nothing"], 1, "is not a directory with a language"),
    (["--labels", "LABELS", "--rank", "64", "--out", "OUT"], 2, "--rank 64 is above the model"),
    (["--labels", "LABELS", "--layers", "9", "--out", "OUT"], 2, "--layers 9, but bert has 4"),
    (["--labels", "LABELS", "--out", "FULL"], 1, "is not empty"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_is_one_line(mistake, command, labels: Path, tmp_path: Path) -> None:
    arguments, expected, wanted = mistake
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    places = {"LABELS": str(labels), "OUT": str(tmp_path / "o"), "FULL": str(tmp_path / "full")}
    code, _, said = command(*(places.get(argument, argument) for argument in arguments))
    assert code == expected
    (line,) = [line for line in said.splitlines() if line.startswith("error")]
    assert wanted in line
