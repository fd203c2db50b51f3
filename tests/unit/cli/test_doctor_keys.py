"""What the doctor says of keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamrec.cli.doctor import CheckResult, guarded, keys
from streamrec.models.signing import write_key_pair
from streamrec.settings import Settings, TrustSettings


def findings(signing: Path | str, verify: Path | str) -> list[tuple[CheckResult, str]]:
    trust = TrustSettings(signing_keyfile=str(signing), verify_keyfiles=str(verify))
    return [(f.verdict, f.detail) for f in guarded("keys", keys, Settings(trust=trust))]


@pytest.fixture
def ours(tmp_path: Path) -> tuple[Path, Path]:
    return write_key_pair(tmp_path / "ours")


def test_nothing_without_keys() -> None:
    assert findings("", "") == []


def test_a_pair_that_fits(ours: tuple[Path, Path]) -> None:
    assert findings(*ours) == [(CheckResult.OK, "1 to check by, one to sign with")]
    assert findings("", ours[1]) == [(CheckResult.OK, "1 to check by, none to sign with")]


def test_a_trainer_whose_own_work_would_be_refused(ours: tuple[Path, Path], tmp_path: Path) -> None:
    _, other = write_key_pair(tmp_path / "other")
    assert findings(ours[0], other) == [(CheckResult.PROBLEM, "what we sign we would refuse")]
    assert findings(ours[0], f"{other}, {ours[1]}")[0][0] is CheckResult.OK


def test_a_file_that_is_not_there(ours: tuple[Path, Path]) -> None:
    ((verdict, said),) = findings("/nowhere.key", ours[1])
    assert verdict is CheckResult.PROBLEM
    assert "STREAMREC_TRUST_SIGNING_KEYFILE: /nowhere.key: No such file" in said
