"""``streamrec keys api`` as an operator types it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from streamrec.apps import access
from streamrec.cli import doctor
from streamrec.core.access import digest_of
from streamrec.infra.stores.key_file import changed_keys, read_keys
from streamrec.settings import Settings
from tests.harness.command_line import CommandLine

KEYS = ("keys", "api")


@pytest.fixture
def shell(tmp_path: Path) -> CommandLine:
    return CommandLine({"STREAMREC_STATE_DIR": tmp_path / "state"}, tmp_path)


def test_a_key_is_made_listed_and_revoked(shell: CommandLine, tmp_path: Path) -> None:
    made = shell.run_here(*KEYS, "new", "--role", "read", "--role", "write", "--name", "shop")
    secret = made.stdout.strip()
    assert (made.returncode, secret.startswith("sr_")) == (0, True)
    assert secret not in made.stderr
    path = tmp_path / "state" / "gateway-keys.json"
    (kept,) = read_keys(path)
    assert kept.digest == digest_of(secret)
    assert secret not in path.read_text()

    second = shell.json(*KEYS, "new", "--role=read", "--name=shop", "--expires=30d", here=True)
    listed = shell.json(*KEYS, "list", here=True)["keys"]
    assert [key["name"] for key in listed] == ["shop", "shop"]
    assert not any("secret" in key or "sha256" in key for key in listed)
    assert "never" in shell.run_here(*KEYS, "list").stdout

    both = shell.run_here(*KEYS, "revoke", "shop")
    assert (both.returncode, kept.key_id in both.stderr) == (1, True)
    assert shell.run_here(*KEYS, "revoke", kept.key_id).returncode == 0
    assert [key.key_id for key in read_keys(path)] == [second["id"]]
    assert shell.run_here(*KEYS, "revoke", "shop").returncode == 0
    assert read_keys(path) == ()
    assert "no key 'shop'" in shell.run_here(*KEYS, "revoke", "shop").stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--role=reed", "--name=shop"), "'reed' is no role"),
        (("--role=admin", "--name=ops", "--users=acme:"), "cannot be bound"),
        (("--role=read", "--name=a b"), "a key's name has"),
        (("--role=read", "--name=shop", "--expires=tomorrow"), "no length of time"),
    ],
)
def test_mistakes_are_told_and_make_nothing(
    shell: CommandLine, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    done = shell.run_here(*KEYS, "new", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert not (tmp_path / "state").exists()


def test_a_file_that_cannot_be_written_says_what_to_do(shell: CommandLine, tmp_path: Path) -> None:
    """A directory stands where the file's own should be: also root cannot write there."""
    (tmp_path / "mounted").write_text("")
    wrong = tmp_path / "mounted" / "keys.json"
    done = shell.run_here(*KEYS, "new", "--role=read", "--name=shop", f"--file={wrong}")
    assert done.returncode == 1
    assert "--file COPY" in done.stderr
    copy = tmp_path / "copy.json"
    made = shell.json(*KEYS, "new", "--role=read", "--name=shop", f"--file={copy}", here=True)
    assert (made["file"], [key.key_id for key in read_keys(copy)]) == (str(copy), [made["id"]])


def test_the_doctor_names_keys_that_open_nothing(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    path = access.path(settings)
    assert list(doctor.api_keys(settings)) == []
    good, _ = access.make(settings, path, access.NewKey("shop", ("read",)))
    with changed_keys(path) as keys:
        keys.append(replace(good, key_id="k1", expires_at_ms=1))
        keys.append(replace(good, key_id="k2", scope=replace(good.scope, topics="staging.")))
    fine, ended, foreign = doctor.api_keys(settings)
    assert (fine.verdict, fine.detail) == (doctor.CheckResult.OK, f"3 in {path}")
    assert (ended.verdict, ended.detail) == (doctor.CheckResult.NOTE, "k1 (shop) has expired")
    assert foreign.detail == "k2 (shop) is another installation's"
    path.write_text("{")
    (broken,) = doctor.guarded("API keys", doctor.api_keys, settings)
    assert (broken.verdict, "not JSON" in broken.detail) == (doctor.CheckResult.PROBLEM, True)
