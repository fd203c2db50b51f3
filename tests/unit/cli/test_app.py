"""What a person sees: help everywhere, one clear line for a mistake, never a stack trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from streamrec import __version__
from streamrec.cli.app import app, main
from streamrec.cli.console import ago
from streamrec.cli.help_text import reflow


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("STREAMREC_KAFKA_BOOTSTRAP", "STREAMREC_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STREAMREC_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def commands(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from commands(inner, (*path, name))


@pytest.mark.parametrize("path", [*commands(typer.main.get_command(app))], ids=" ".join)
def test_every_command_has_help_with_more_than_its_name(path, capsys) -> None:
    assert run(*path, "--help") == 0
    assert len(capsys.readouterr().out.split()) > 15


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["adapters", "list"],
        ["adapters", "rollback"],
        ["request", "ann"],
        ["events", "send", "-"],
        ["recommendations", "tail"],
        ["topics", "create"],
        ["worker", "features"],
    ],
    ids=" ".join,
)
def test_nothing_configured_and_nothing_running(arguments, capsys) -> None:
    assert run(*arguments) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "no `streamrec up` running" in shown.err
    assert "STREAMREC_KAFKA_BOOTSTRAP" in shown.err
    assert len(shown.err.splitlines()) == 1


@pytest.mark.parametrize("role", ["trainer", "serving"])
def test_a_worker_of_a_task_that_is_not_built_in_is_refused_before_anything(role, capsys) -> None:
    assert run("worker", role, "--task", "poetry") == 1
    assert "'poetry' is no task that this version can learn; it can: ranking" in (
        capsys.readouterr().err
    )


def test_a_wrong_setting_is_named_and_every_problem_is_listed(monkeypatch, capsys) -> None:
    monkeypatch.setenv("STREAMREC_SERVING_K", "many")
    monkeypatch.setenv("STREAMREC_SREVING_K", "1")
    assert run("settings") == 2
    shown = capsys.readouterr().err
    assert "STREAMREC_SERVING_K: 'many' is not a whole number" in shown
    assert "STREAMREC_SREVING_K: no such setting" in shown


def test_a_wrong_option_exits_2(capsys) -> None:
    assert run("status", "--nonsense") == 2
    assert "--nonsense" in capsys.readouterr().err


def test_a_file_that_is_not_there(capsys) -> None:
    assert run("items", "load", "/no/such/file") == 1
    assert "/no/such/file: No such file" in capsys.readouterr().err


def test_version(capsys) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == f"streamrec {__version__}"


def test_settings_as_json_mask_secrets(monkeypatch, capsys) -> None:
    monkeypatch.setenv("STREAMREC_REDIS_PASSWORD", "hunter2")
    monkeypatch.setenv("STREAMREC_SERVING_K", "7")
    assert run("settings", "--json", "--changed") == 0
    text = capsys.readouterr().out
    values = {row["name"]: row["value"] for row in json.loads(text)}
    assert values["STREAMREC_SERVING_K"] == "7"
    assert values["STREAMREC_REDIS_PASSWORD"] == "***"
    assert "hunter2" not in text


class Interrupted(StringIO):
    """Ctrl-C comes while something is printed."""

    def write(self, text: str) -> int:
        raise KeyboardInterrupt


def test_ctrl_c_is_quiet_and_exits_130(capsys) -> None:
    with redirect_stdout(Interrupted()):
        assert run("settings", "--json") == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("age_ms", "shown"),
    [(-5, "0.0 s"), (1_234, "1.2 s"), (59_000, "59 s"), (200_000, "3 min"), (9e6, "2 h")],
)
def test_ages(age_ms: float, shown: str) -> None:
    assert ago(age_ms) == shown


def test_help_paragraphs_are_joined_and_examples_are_not() -> None:
    text = "First\n    line.\n\n\b\n  streamrec up\n  streamrec status\n\nLast\nparagraph."
    assert reflow(text) == (
        "First line.\n\n\b\n  streamrec up\n  streamrec status\n\nLast paragraph."
    )
