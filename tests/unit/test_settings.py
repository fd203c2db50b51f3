"""Settings: short names."""

from __future__ import annotations

import pytest

from streamrec import settings
from streamrec.errors import SettingsError


def test_the_encoder_has_a_short_name() -> None:
    assert settings.load({"STREAMREC_ENCODER": "some/model"}).encoder.model == "some/model"
    both = {"STREAMREC_ENCODER": "some/model", "STREAMREC_ENCODER_MODEL": "some/model"}
    assert settings.load(both).encoder.model == "some/model"


def test_two_names_with_two_values_are_refused() -> None:
    both = {"STREAMREC_ENCODER": "some/model", "STREAMREC_ENCODER_MODEL": "another/model"}
    with pytest.raises(SettingsError, match="are the same setting and differ"):
        settings.load(both)


def test_a_value_above_what_makes_sense_is_a_problem() -> None:
    with pytest.raises(SettingsError, match=r"STREAMREC_CANARY_SHARE: 1 is above 0\.9"):
        settings.load({"STREAMREC_CANARY_SHARE": "1"})
