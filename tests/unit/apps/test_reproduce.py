"""The settings in a manifest of version 0.1 are this version's again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streamrec.apps.model import settings_then
from streamrec.core.release.manifest import Manifest
from streamrec.errors import UserError
from streamrec.settings import EncoderSettings, Settings, TrainerSettings

WRITTEN = Path(__file__).parents[2] / "fixtures" / "version_0_1"
NOW = Settings(encoder=EncoderSettings(rank=2), trainer=TrainerSettings(swap_timeout_s=3.0))


def manifest_with(group: str = "trainer", **changed: Any) -> Manifest:
    recorded = json.loads((WRITTEN / "settings.json").read_text())
    recorded[group] |= changed
    return Manifest("g1-0", None, "e", "m", "d", "f", 0, settings=recorded)


def test_what_was_usual_then_is_usual_now() -> None:
    assert settings_then(NOW, manifest_with()) == Settings()


def test_a_renamed_one_is_found_under_its_new_name() -> None:
    then = settings_then(NOW, manifest_with(stage_timeout_s=9.0, seed=4))
    assert then.trainer == TrainerSettings(swap_timeout_s=9.0, seed=4)


@pytest.mark.parametrize(
    ("group", "changed", "named"),
    [
        ("learning", {"of_another_version": 1}, "of_another_version"),
        ("trainer", {"gate_max_kl": 0.1}, "gate_max_kl"),
        ("encoder", {"adapter": "of-another"}, "of-another"),
    ],
)
def test_what_this_version_does_not_do_is_refused(
    group: str, changed: dict[str, Any], named: str
) -> None:
    with pytest.raises(UserError, match=f"{named}.*use the version it was made with"):
        settings_then(NOW, manifest_with(group, **changed))
