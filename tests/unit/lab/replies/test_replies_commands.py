"""``train --task replies`` and ``replay --task replies``, on a tiny language model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamrec.apps.replies_task import replies_generations, writing_settings
from streamrec.cli.app import app
from streamrec.infra.stores.registry_store import open_registry
from streamrec.lab.replies.main import FIRST_WORDS, run_first_words
from streamrec.lab.replies.plan import RepliesPlan
from streamrec.models.causal import load_causal
from streamrec.models.lora import state_digest
from streamrec.settings import Settings, load
from streamrec.tasks.replies.model.generations import start_of
from tests.fakes.causal_models import save_tiny_writer

ITEMS = [
    {"item_id": f"i{n}", "title": f"Marvelgate{n:02d}", "categories": ["Drama"]} for n in range(40)
]
EVENTS = [
    {"event_id": f"e{n}", "user_id": f"u{n % 20}", "item_id": f"i{(n * 7 + n // 20) % 40}",
     "kind": "click", "occurred_at": 1_600_000_000 + n}
    for n in range(600)
]  # fmt: skip


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    model, state = tmp_path_factory.mktemp("writer"), tmp_path_factory.mktemp("state")
    named = {"STREAMREC_REPLIES_MODEL": str(save_tiny_writer(model))}
    return load(named | {"STREAMREC_STATE_DIR": str(state)})


@pytest.fixture
def items(tmp_path: Path) -> Path:
    return lines(tmp_path / "items.jsonl", ITEMS)


def lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_first_words_are_a_generation_of_replies_that_can_be_started_from(settings, items) -> None:
    told = []
    plan = RepliesPlan(items, steps=3)
    result = run_first_words(settings, plan, "", lambda *at: told.append(at[:2]))
    assert told == [(1, 3), (2, 3), (3, 3)]
    store = open_registry(result["registry"], settings.state_dir / "cache")
    writing = writing_settings(settings)
    model = load_causal(writing.encoder)
    read = replies_generations(writing, model).read(store.get(result["generation"]))
    assert read.manifest.settings[FIRST_WORDS]["items"] == 40
    learned, start = state_digest(read.adapter), state_digest(start_of(read))
    assert learned == start != state_digest(model.adapter_state())


def test_the_replay_writes_what_was_promised(settings, items, tmp_path) -> None:
    model, start = load_causal(writing_settings(settings).encoder), tmp_path / "start"
    model.save_adapter(start)
    events, report = lines(tmp_path / "events.jsonl", EVENTS), tmp_path / "report.json"
    asked = ["replay", "--task=replies", f"--items={items}", f"--events={events}", "--questions=5"]
    environment = {"STREAMREC_REPLIES_MODEL": settings.replies.model}
    done = CliRunner().invoke(
        app, [*asked, f"--start={start}", f"--report={report}"], env=environment
    )
    assert done.exit_code == 0, done.output
    assert "by chance 50 %" in done.output
    found = json.loads(report.read_text())
    assert set(found["acceptance"]) == {"none", "adapter", "bandit", "both"}
    assert found["acceptance"]["both"]["n"] == 1
    assert found["grounded"]["share"] == 1.0
    wrong = CliRunner().invoke(app, [*asked, f"--start={tmp_path}"], env=environment)
    assert wrong.exit_code != 0


@pytest.mark.parametrize(
    "command",
    [
        ["replay", "--task=replies", "--tests=x.jsonl"],
        ["replay", "--task=replies"],
        ["train", "--task=replies"],
        ["train", "--task=replies", "--items=x.jsonl", "--epochs=3"],
        ["train", "--task=nothing"],
    ],
)
def test_what_makes_no_sense_is_refused(command: list[str]) -> None:
    assert CliRunner().invoke(app, command).exit_code != 0
